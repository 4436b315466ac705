"""Parameters of a class in a JSON call."""

from typing import Any

import msgspec
import pytest

from freehold.core.errors import InvalidError
from freehold.core.specs import FunctionSpec, Parameter
from freehold.server.services.parameters import encode_parameters

OCR = FunctionSpec(
    name="Ocr",
    kind="cls",
    module="m",
    qualname="Ocr",
    parameters=(
        Parameter(name="lang", type="str"),
        Parameter(name="dpi", type="int", default=300, required=False),
        Parameter(name="key", type="bytes", required=False),
    ),
)


def test_what_is_left_at_its_default_is_the_same_pool() -> None:
    plain = encode_parameters(OCR, {"lang": "ko"})
    assert encode_parameters(OCR, {"dpi": 300, "lang": "ko"}) == plain
    assert msgspec.msgpack.decode(encode_parameters(OCR, {"lang": "ko", "key": "AAE=", "dpi": 1})) == [
        ["dpi", 1], ["key", b"\x00\x01"], ["lang", "ko"]
    ]  # fmt: skip
    assert encode_parameters(FunctionSpec(name="f", module="m", qualname="f"), {}) == b""


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "needs its parameter 'lang'"),
        ({"lang": "ko", "zz": 1}, "no parameter 'zz'; it has: lang, dpi, key"),
        ({"lang": 1}, "'lang' is of type str, not int"),
        ({"lang": "ko", "dpi": True}, "'dpi' is of type int, not bool"),
        ({"lang": "ko", "key": "?"}, "give it as base64"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_starts(given: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidError, match=text):
        encode_parameters(OCR, given)
