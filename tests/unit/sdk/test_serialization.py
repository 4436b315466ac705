"""Values and exceptions over the wire and back."""

import enum
import pickle
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from freehold.core.errors import (
    CancelledError,
    ConnectionError,
    DeserializationError,
    FunctionTimeoutError,
    InputCancellation,
    InstanceDiedError,
    RemoteError,
    SerializationError,
)
from freehold.protocol.frames import Buffer, Format, Payload, RemoteFailure
from freehold.sdk.serialization import dump_code, dumps, dumps_json, failure, load_arguments, loads, rebuild


@dataclass
class Point:
    x: int
    y: int


class Color(enum.Enum):
    RED = 1


class Store:
    """A sink and a source."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, view: memoryview) -> Buffer | None:
        name = str(len(self.kept))
        self.kept[name] = view.tobytes()
        return Buffer(kind="arena", segment=name, size=view.nbytes)

    def put_data(self, data: bytes) -> str:
        if len(data) < 1000:
            return ""
        self.kept["data"] = data
        return "data"

    def open(self, buffer: Buffer) -> Any:
        return bytearray(self.kept[buffer.segment])

    def open_data(self, digest: str) -> bytes:
        return self.kept[digest]


@pytest.mark.parametrize(
    "value",
    [
        None,
        1,
        2.5,
        "text",
        b"bytes",
        (1, "two", [3.0, {"four": None}]),
        {"a": {"b": {"c": {"d": [1]}}}},
        list(range(1000)),
        Point(1, 2),
        Color.RED,
        {Point(1, 2).x},
    ],
)
def test_values_come_back(value: object) -> None:
    assert loads(dumps(value)) == value


def test_functions_go_by_value() -> None:
    base = 3

    def plus(n: int) -> int:
        return n + base

    assert loads(dumps(plus))(4) == 7


def test_arrays_leave_the_pickle_and_come_back_writable() -> None:
    array = np.arange(100_000, dtype=np.float64)
    payload = dumps({"a": array})
    assert [len(b.data) for b in payload.buffers] == [array.nbytes]
    assert len(payload.data) < 500
    back = loads(payload)["a"]
    assert (back == array).all()
    back[0] = 5


def test_small_arrays_stay_in_it() -> None:
    assert dumps(np.arange(10)).buffers == ()
    strided = np.arange(100_000)[::2]
    assert (loads(dumps(strided)) == strided).all()


def test_large_pieces_go_to_the_sink() -> None:
    store, array = Store(), np.ones(100_000)
    payload = dumps(array, sink=store)
    assert [b.kind for b in payload.buffers] == ["arena"]
    assert (loads(payload, source=store) == array).all()
    with pytest.raises(DeserializationError, match="cannot be reached"):
        loads(payload)
    text = dumps("x" * 5000, sink=store)
    assert (text.blob, text.data) == ("data", b"")
    assert loads(text, source=store) == "x" * 5000


def test_what_cannot_be_pickled_is_named() -> None:
    with pytest.raises(SerializationError, match="the value cannot be pickled: it is of type 'generator'"):
        dumps(i for i in range(3))


def test_what_cannot_be_read_is_named() -> None:
    with pytest.raises(DeserializationError, match="cannot be read here, ValueError"):
        loads(Payload(data=b"\x80junk"))
    missing = pickle.dumps(Point(1, 2)).replace(__name__.encode(), b"x" * len(__name__))
    with pytest.raises(DeserializationError, match=r"install 'x+' on both sides"):
        loads(Payload(data=missing))


def test_json() -> None:
    payload = Payload(data=b'{"args": [1, 2], "kwargs": {"x": 3}}', format=Format.JSON)
    assert load_arguments(payload) == ((1, 2), {"x": 3})
    assert loads(dumps_json({"a": [1, None]})) == {"a": [1, None]}
    with pytest.raises(SerializationError, match="'object' cannot be written as JSON"):
        dumps_json(object())
    with pytest.raises(DeserializationError, match="must be an object"):
        load_arguments(Payload(data=b"[1]", format=Format.JSON))


def test_main_is_known_by_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    script = ModuleType("__main__")
    exec("class Mine:\n    def __init__(self, n): self.n = n", vars(script))
    monkeypatch.setitem(sys.modules, "__main__", script)
    payload = dumps(script.Mine(4), main="job")
    job = ModuleType("job")
    vars(job).update(vars(script))
    monkeypatch.setitem(sys.modules, "job", job)
    assert isinstance(loads(payload), job.Mine)
    assert loads(dumps(script.Mine(4))).n == 4  # by value, to those who do not know it


def test_code_goes_by_value_from_an_importable_module() -> None:
    code = dump_code(_twice)
    assert b"_twice" in code
    assert pickle.loads(dump_code(_twice, (3,)))() == 6
    module = sys.modules.pop(__name__)
    try:
        assert pickle.loads(code)(2) == 4
    finally:
        sys.modules[__name__] = module


def _twice(n: int) -> int:
    return n * 2


def _caught(error: BaseException) -> BaseException:
    try:
        raise error  # noqa: TRY301 (raising it is the point)
    except BaseException as caught:  # noqa: BLE001
        return caught


def test_exceptions_come_back_with_their_traceback() -> None:
    error = rebuild(failure(_caught(KeyError("k"))))
    assert isinstance(error, KeyError)
    assert error.args == ("k",)
    assert "_caught" in error.__notes__[0]


def test_the_traceback_of_a_rethrown_exception_is_told_once() -> None:
    inner = rebuild(failure(_caught(ValueError("deep"))))
    outer = rebuild(failure(_caught(inner)))
    assert len(outer.__notes__) == 1
    assert outer.__notes__[0].count("ValueError: deep") == 2


def test_our_own_errors_keep_class_and_code() -> None:
    sent = failure(_caught(InstanceDiedError("gone")))
    assert (sent.type, sent.code) == ("freehold.exception.InstanceDiedError", "aborted")
    assert type(rebuild(sent)) is InstanceDiedError
    for name, code, kind in (
        ("freehold.exception.FunctionTimeoutError", "deadline_exceeded", FunctionTimeoutError),
        ("freehold.exception.ConnectionError", "unavailable", ConnectionError),
        ("freehold.exception.InputCancellation", "cancelled", CancelledError),
    ):
        assert type(rebuild(RemoteFailure(name, "m", "", code))) is kind
    assert type(rebuild(failure(_caught(InputCancellation())))) is CancelledError


def test_stand_ins_for_what_cannot_come_back() -> None:
    assert type(rebuild(RemoteFailure("builtins.ValueError", "bad", ""))) is ValueError
    unknown = rebuild(RemoteFailure("lib.CustomError", "bad", "", pickled=b"junk"))
    assert (type(unknown), str(unknown)) == (RemoteError, "lib.CustomError: bad")
    assert type(rebuild(RemoteFailure("builtins.SystemExit", "3", ""))) is RemoteError
    assert type(rebuild(RemoteFailure("builtins.UnicodeDecodeError", "x", ""))) is RemoteError


def test_a_message_that_raises_is_survived() -> None:
    class Nasty(Exception):  # noqa: N818
        def __str__(self) -> str:
            raise RuntimeError("no")

    assert "cannot be read" in failure(_caught(Nasty())).message


class PickyError(Exception):
    """Its `__init__` takes other arguments than it keeps."""

    def __init__(self, code: int, *, hint: str) -> None:
        super().__init__(f"code {code}")
        self.code, self.hint = code, hint


def test_an_exception_with_an_init_of_its_own_comes_back_as_itself() -> None:
    back = rebuild(failure(PickyError(7, hint="later")))
    assert isinstance(back, PickyError)
    assert (str(back), back.code, back.hint) == ("code 7", 7, "later")


@pytest.mark.parametrize("way", ["argument", "function"])
def test_code_of_another_python_is_refused_with_the_fix(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Run by another minor version, its bytecode would crash the process."""

    def after(x: int) -> int:
        return x + 1

    sent = dumps(after) if way == "argument" else Payload(dump_code(after))
    assert loads(sent)(1) == 2
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    with pytest.raises(
        DeserializationError, match=r"compiled by Python 3\.\d+, and this is Python 3\.99: .*python_version"
    ):
        loads(sent)
