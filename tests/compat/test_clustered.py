"""Clustered functions: a call runs on all ranks at once, or fails on all."""

import pytest
from tests.e2e.harness import Freehold, MakeHome


@pytest.fixture(scope="module")
def gpus(make_home: MakeHome) -> Freehold:
    """A server with four declared devices."""
    one = make_home(FREEHOLD_DEVICES="A10G:4")
    one.ok("up", "--detach")
    return one


def test_ranks_reduce_over_their_addresses(gpus: Freehold) -> None:
    lines = gpus.lines("run", "-q", "clustered.py::main")
    for line in (
        "reduced 0 111 3 True", "again 222", "steps 11 15", "ids [0, 1]", "this code runs in no cluster: ",
        "entered 0", "entered 1", "left 0", "left 1", "rank 2 of cu- .2 has 111",
    ):  # fmt: skip
        assert line in lines, (line, lines)
    given = sorted(line for line in lines if line.startswith("devices "))
    assert given == ["devices 0 A10G:sim-0,A10G:sim-1", "devices 1 A10G:sim-2,A10G:sim-3"]


def test_when_one_rank_fails_all_end_and_the_attempt_fails(gpus: Freehold) -> None:
    lines = gpus.lines("run", "-q", "clustered.py::failing")
    assert lines[:2] == ["ValueError rank 0 gives up True", "ValueError rank 2 gives up True"]
    assert lines[2].startswith("InstanceDiedError")
    assert lines[3:] == ["ExecutionError rank 2 of the cluster died: killed by signal 9 True", "goes on True"]
