"""Cores and their two faces."""

import asyncio
import threading
import warnings
from collections.abc import AsyncGenerator

import pytest

from freehold.sdk.faces import Gate, blocking, both, both_items, drive, drive_async, opens, opens_static, pause


class Thing:
    def __init__(self) -> None:
        self.cleaned = False

    @both
    async def double(self, n: int) -> int:
        """Twice."""
        return 2 * await blocking(lambda: n)

    @both_items
    async def upto(self, n: int) -> AsyncGenerator[int, None]:
        try:
            for i in range(n):
                yield await blocking(int, i)
        finally:
            self.cleaned = True


async def test_a_task_that_is_cancelled_before_it_begins_leaves_nothing_behind() -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        task = asyncio.create_task(Thing().double.aio(4))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [str(w.message) for w in said] == []


async def test_who_forgets_to_await_is_told_what() -> None:
    waiting = Thing().double.aio(4)
    assert waiting.__qualname__ == "Thing.double.aio"
    assert await waiting == 8


class Door:
    def __enter__(self) -> str:
        return "open"

    async def __aenter__(self) -> str:
        return "open too"

    def __exit__(self, *_: object) -> None: ...
    async def __aexit__(self, *_: object) -> None: ...


class House:
    @opens
    def door(self) -> Door:
        """Of the house."""
        return Door()

    @opens_static
    @staticmethod
    def gate() -> Door:
        return Door()


async def test_what_is_opened_has_an_aio_too() -> None:
    with House().door() as sync, House.gate() as static:
        assert (sync, static) == ("open", "open")
    async with House().door.aio() as one, House().door() as other, House.gate.aio() as static:
        assert (one, other, static) == ("open too",) * 3
    assert House.door.__doc__ == "Of the house."


def test_sync_face() -> None:
    thing = Thing()
    assert thing.double(4) == 8
    assert list(thing.upto(3)) == [0, 1, 2]
    assert Thing.double.__doc__ == "Twice."


async def test_async_face() -> None:
    thing = Thing()
    assert await thing.double.aio(4) == 8
    assert [i async for i in thing.upto.aio(3)] == [0, 1, 2]


def test_a_left_iterator_is_cleaned_up() -> None:
    thing = Thing()
    items = thing.upto(3)
    next(items)
    items.close()
    assert thing.cleaned


async def test_the_sync_face_works_inside_a_running_loop() -> None:
    assert Thing().double(4) == 8
    assert list(Thing().upto(2)) == [0, 1]


async def _pass(gate: Gate, timeout_s: float | None = None) -> str:
    await (gate if timeout_s is None else pause(gate.within(timeout_s)))
    return "through"


def test_a_gate_between_threads() -> None:
    gate = Gate()
    threading.Timer(0.01, gate.open).start()
    assert drive(_pass(gate)) == "through"
    gate.open()
    gate.open()  # an open gate stays open once
    assert drive(_pass(gate)) == "through"
    assert drive(_pass(gate, 0.01)) == "through"  # in time or not, the core goes on and looks for itself


async def test_a_gate_between_a_thread_and_a_task() -> None:
    gate = Gate()
    threading.Timer(0.01, gate.open).start()
    assert await drive_async(_pass(gate)) == "through"
    assert await drive_async(_pass(gate, 0.01)) == "through"


async def test_a_cancelled_core_sees_it() -> None:
    seen: list[str] = []

    async def core() -> None:
        try:
            await Gate()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    task = asyncio.create_task(drive_async(core()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cancelled"]
