"""Whole histories of a platform in virtual time: no input is lost, none runs after its end, no limit is passed, all comes to rest."""

import pytest
from tests.unit.server.simulator import simulate


@pytest.mark.parametrize("seed", range(4))
def test_a_history_with_faults_ends_well(seed: int) -> None:
    assert simulate(seed)


def test_a_seed_is_one_history() -> None:
    assert simulate(7) == simulate(7)
