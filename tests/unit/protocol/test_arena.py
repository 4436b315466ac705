"""Shared memory: sent without a copy on the other side, used again when nobody looks."""

from pathlib import Path

import numpy as np
import pytest

from freehold.core.errors import DataLossError
from freehold.protocol.arena import Arena, sweep
from freehold.protocol.frames import Buffer


@pytest.fixture
def arenas(tmp_path: Path) -> tuple[Arena, Arena]:
    return Arena(tmp_path, "cl-1"), Arena(tmp_path, "in-1")


def test_what_one_puts_the_other_sees_without_a_copy(arenas: tuple[Arena, Arena]) -> None:
    sender, receiver = arenas
    sent = np.arange(100_000, dtype=np.float64)
    buffer = sender.put(memoryview(sent.tobytes()))
    view = receiver.view(buffer)
    assert np.array_equal(np.frombuffer(view, dtype=np.float64), sent)


def test_a_segment_is_used_again_once_it_came_back(arenas: tuple[Arena, Arena]) -> None:
    sender, _ = arenas
    first = sender.put(memoryview(bytes(500_000)))
    sender.release([first.segment])
    assert sender.put(memoryview(bytes(400_000))).segment == first.segment


def test_a_segment_that_somebody_still_looks_at_is_given_up(arenas: tuple[Arena, Arena]) -> None:
    sender, receiver = arenas
    buffer = sender.put(memoryview(b"a" * 500_000))
    kept = np.frombuffer(receiver.view(buffer), dtype=np.uint8)
    held = receiver.held([buffer.segment])
    assert held == [buffer.segment]
    receiver.drop(held)
    sender.release([buffer.segment], held)
    again = sender.put(memoryview(b"b" * 500_000))
    assert again.segment != buffer.segment
    assert kept[0] == ord("a"), "what user code keeps was written over"


@pytest.mark.parametrize("name", ["../token", "/etc/passwd", ".hidden", "gone"])
def test_a_name_that_is_no_segment_is_refused(arenas: tuple[Arena, Arena], name: str) -> None:
    with pytest.raises(DataLossError):
        arenas[1].view(Buffer("arena", segment=name, size=1))


def test_sweeping_removes_the_segments_of_one_owner_only(arenas: tuple[Arena, Arena], tmp_path: Path) -> None:
    sender, receiver = arenas
    sender.put(memoryview(bytes(300_000)))
    own = receiver.put(memoryview(bytes(300_000)))
    sweep(tmp_path, "cl-1")
    assert [p.name for p in tmp_path.iterdir()] == [own.segment]
