import threading
from dataclasses import dataclass, field
from typing import Any

import pytest

from freehold.core.errors import SerializationError
from freehold.sdk.serialization import dump_arguments, dumps


@dataclass
class Model:
    lock: Any = field(default_factory=threading.Lock)


@dataclass
class Holder:
    model: Model = field(default_factory=Model)
    name: str = "held"


class Stubborn:
    def __reduce__(self) -> Any:
        msg = "never"
        raise RuntimeError(msg)


class Slotted:
    __slots__ = ("lock",)

    def __init__(self) -> None:
        self.lock = threading.Lock()


def capturing() -> Any:
    lock = threading.Lock()
    return lambda: lock


def said(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(SerializationError) as caught:
        dump_arguments(args, kwargs)
    return str(caught.value)


def test_the_argument_is_named_by_its_place_or_its_name() -> None:
    assert said(1, threading.Lock()).startswith("argument 2 cannot be pickled: it is of type '_thread.lock'")
    assert said(1, x=2, guard=threading.Lock()).startswith("argument 'guard' cannot be pickled: it is of")


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (Holder(), ".model.lock"),
        ({"a": [1, {"b": Holder()}]}, "['a'][1]['b'].model.lock"),
        (Slotted(), ".lock"),
        (capturing(), ".<captured lock>"),
        (Holder().model.lock.acquire, None),
    ],
)
def test_the_part_that_is_to_blame_is_named(value: Any, path: str | None) -> None:
    text = said(value)
    assert f"its {path} is of type '_thread.lock'" in text if path else "argument 1" in text
    assert "where it is used" in text


def test_what_its_own_reduce_refuses_is_named_with_what_it_raised() -> None:
    assert "its [0] is of type 'tests.unit.sdk.test_unpicklable.Stubborn' (RuntimeError: never)" in said([Stubborn()])


def test_a_circle_ends() -> None:
    circle: list[Any] = []
    circle += [circle, threading.Lock()]
    assert "its [1] is of type '_thread.lock'" in said(circle)


def test_a_value_is_called_what_its_sender_calls_it() -> None:
    with pytest.raises(SerializationError, match=r"^the result cannot be pickled: its \['x'\] is of type"):
        dumps({"x": threading.Lock()}, name="the result")
