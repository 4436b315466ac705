"""Columns of a batch, and what its function must return."""

import pytest

from freehold.core.errors import InvalidError
from freehold.runner.batched import _check_batch, _columns
from freehold.runner.generators import iterate


def test_arguments_become_lists() -> None:
    assert _columns([((1, 2), {"k": 5}), ((3, 4), {"k": 6})]) == ([[1, 3], [2, 4]], {"k": [5, 6]})


def test_inputs_that_differ_in_form() -> None:
    with pytest.raises(InvalidError, match="same arguments"):
        _columns([((1,), {}), ((), {"x": 1})])


@pytest.mark.parametrize("values", [[1], "ab", 7, {"a": 1, "b": 2}])
def test_what_a_batch_may_not_return(values: object) -> None:
    with pytest.raises(InvalidError, match="f'"):
        _check_batch(values, 2, "f")


@pytest.mark.parametrize("value", [5, "text", [1], {"a": 1}, None])
def test_what_is_no_generator(value: object) -> None:
    with pytest.raises(InvalidError, match="called as a generator"):
        iterate(value, "f", None)
