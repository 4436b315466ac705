"""The JSON schema of a function's arguments."""

import dataclasses
from typing import Any, Literal, NamedTuple

import pytest

from freehold.sdk.schema import arguments_schema
from freehold.sdk.serialization import dump_code


@dataclasses.dataclass
class Point:
    x: int


class Pair(NamedTuple):
    left: int


def plain(n: int, *rest: str, names: list[str] | None = None, mode: Literal["a", "b"] = "a", some: Any = 3) -> None: ...


@pytest.mark.parametrize("hint", [Point, list[Point], dict[str, Point | None], Pair, tuple[Pair, ...]])
def test_classes_of_the_program_are_left_open_and_as_they_were(hint: Any) -> None:
    def own(one: Any) -> None: ...

    own.__annotations__["one"] = hint
    assert arguments_schema(own)["properties"] == {"one": {}}
    assert not [name for kind in (Point, Pair) for name in vars(kind) if "msgspec" in name]
    assert dump_code(Point)


def test_plain_types_have_theirs() -> None:
    schema = arguments_schema(plain)
    assert schema["required"] == ["n"]
    assert schema["properties"]["n"] == {"type": "integer"}
    assert schema["properties"]["mode"] == {"enum": ["a", "b"], "default": "a"}
    assert schema["properties"]["names"]["anyOf"] == [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]
