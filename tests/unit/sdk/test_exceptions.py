"""What comes back of an exception that crossed."""

import threading
from typing import TypeVar, cast

import pytest

from freehold.core.errors import RemoteError
from freehold.sdk.serialization import dump_failure, load_failure

E = TypeVar("E", bound=BaseException)


class WantsError(Exception):
    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")
        self.first, self.second = first, second


class HeldError(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.lock = threading.Lock()


def crossed(error: BaseException) -> BaseException:
    return load_failure(dump_failure(error))


def raised(error: E, *, cause: BaseException | None = None, context: BaseException | None = None) -> E:
    error.__cause__, error.__context__ = cause, context
    return error


def members(error: BaseException) -> list[BaseException]:
    assert isinstance(error, ExceptionGroup)
    return list(cast("ExceptionGroup[Exception]", error).exceptions)


def test_causes_come_along_as_exceptions() -> None:
    error = crossed(raised(ValueError("outer"), cause=raised(WantsError(1, 2), cause=KeyError("inner"))))
    assert isinstance(error, ValueError)
    assert isinstance(error.__cause__, WantsError)
    assert (error.__cause__.first, error.__cause__.second) == (1, 2)
    assert repr(error.__cause__.__cause__) == "KeyError('inner')"


def test_what_was_being_handled_comes_along_unless_it_was_put_aside() -> None:
    assert isinstance(crossed(raised(ValueError("x"), context=ZeroDivisionError("y"))).__context__, ZeroDivisionError)
    aside = ValueError("x")
    aside.__context__, aside.__suppress_context__ = KeyError("y"), True
    assert crossed(aside).__suppress_context__


def test_a_cause_that_cannot_cross_is_told() -> None:
    error = crossed(raised(ValueError("outer"), cause=raised(HeldError("inner"), cause=KeyError("k"))))
    assert type(error) is ValueError
    assert type(error.__cause__) is RemoteError
    assert str(error.__cause__).endswith("HeldError: inner")
    assert isinstance(error.__cause__.__cause__, KeyError)


def test_a_group_comes_with_its_members() -> None:
    group = ExceptionGroup(
        "many", [raised(ValueError("one"), cause=KeyError("why")), WantsError(3, 4), HeldError("two")]
    )
    group.add_note("a note")
    error = crossed(group)
    one, two, three = members(error)
    assert isinstance(one, ValueError)
    assert isinstance(one.__cause__, KeyError)
    assert isinstance(two, WantsError)
    assert type(three) is RemoteError
    assert "a note" in error.__notes__


def test_exceptions_that_hold_each_other_come_back() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.other, second.other = second, first  # type: ignore[attr-defined]
    first.__cause__, second.__context__ = second, first
    error = crossed(first)
    assert str(error) == "first"
    assert error.__cause__ is not None
    assert str(error.__cause__) == "second"


def test_groups_in_groups_take_no_longer_than_they_are_deep() -> None:
    group: Exception = WantsError(1, 2)
    for _ in range(30):
        group = ExceptionGroup[Exception]("more", [group])
    assert len(members(crossed(group))) == 1


def test_a_chain_too_long_to_follow_is_left_behind() -> None:
    error: BaseException = ValueError("last")
    for number in range(5_000):
        error = raised(ValueError(number), cause=error)
    assert str(crossed(error)) == "4999"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (StopIteration(4), "StopIteration: 4"),
        (HeldError("h"), "HeldError: h"),
    ],
)
def test_what_must_not_or_cannot_be_raised_here_is_told(error: BaseException, text: str) -> None:
    back = crossed(error)
    assert type(back) is RemoteError
    assert str(back).endswith(text)
    assert "builtins" not in str(back)
