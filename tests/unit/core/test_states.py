"""State machines: what the tables allow, and nothing else."""

from collections.abc import Mapping
from enum import StrEnum

import pytest

from freehold.core.errors import InternalError
from freehold.core.states import APP, CALL, INSTANCE, SANDBOX, CallState, InstanceState, SandboxState, move


@pytest.mark.parametrize("table", [APP, CALL, INSTANCE, SANDBOX])
def test_every_state_has_its_row(table: Mapping[StrEnum, frozenset[StrEnum]]) -> None:
    assert set(table) == set(type(next(iter(table))))


def test_final_states_lead_nowhere() -> None:
    assert all(not CALL[s] for s in CallState if s.final)
    assert not INSTANCE[InstanceState.OFFLINE]
    assert all(not SANDBOX[s] for s in SandboxState if s.final)


def test_an_illegal_move_is_an_internal_error_that_names_both() -> None:
    with pytest.raises(InternalError, match=r"succeeded.*running"):
        move(CALL, CallState.SUCCEEDED, CallState.RUNNING)
