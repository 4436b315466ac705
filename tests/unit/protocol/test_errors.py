"""The one table of error codes."""

import pytest

from freehold.core import errors
from freehold.protocol.errors import TABLE, from_wire, http_status

CLASSES = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.Error)]


@pytest.mark.parametrize("cls", CLASSES)
def test_every_class_has_a_row_and_crosses_as_itself(cls: type[errors.Error]) -> None:
    assert cls.code in TABLE
    back = from_wire(cls.code, "why", cls.__name__)
    assert type(back) is cls
    assert str(back) == "why"
    assert 400 <= http_status(back) < 600


def test_a_name_that_is_not_ours_falls_back_to_its_code() -> None:
    assert type(from_wire("not_found", "x", "KeyError")) is errors.NotFoundError
    assert type(from_wire("what", "x")) is errors.InternalError


def test_ours_are_caught_as_the_builtins_of_their_name() -> None:
    assert issubclass(errors.TimeoutError, TimeoutError)
    assert issubclass(errors.ConnectionError, ConnectionError)
