"""spawn_map: chunks that wait for each other, and what ends one."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.unit.sdk.fake_server import FakeServer, until

import freehold
from freehold.core.errors import ConflictError, InvalidError
from freehold.protocol.frames import Refused, Room
from freehold.sdk import spawning

app = freehold.App("spawning")


@app.function()
def double(x: int, plus: int = 0) -> int:
    return 2 * x + plus


@app.function()
def numbers(count: int) -> Iterator[int]:
    yield from range(count)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(spawning, "CHUNK", 3)


def _sizes(server: FakeServer) -> list[tuple[int, bool]]:
    sent = [*server.submits, *server.extends]
    return [(len(message.inputs), message.more) for message in sent]


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(0, [(0, False)]), (2, [(2, False)]), (3, [(3, False)]), (7, [(3, True), (3, True), (1, False)])],
)
def test_inputs_go_out_in_chunks_and_the_last_says_so(
    server: FakeServer, count: int, sizes: list[tuple[int, bool]]
) -> None:
    with app.run():
        call = double.spawn_map(iter(range(count)), kwargs={"plus": 1})
    assert isinstance(call, freehold.FunctionCall)
    assert _sizes(server) == sizes
    assert [i.index for m in (*server.submits, *server.extends) for i in m.inputs] == list(range(count))
    assert server.cancelled == []


async def _numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        await asyncio.sleep(0)
        yield number


def test_async_inputs_are_read_beside_a_sync_caller(server: FakeServer) -> None:
    with app.run():
        double.spawn_map(_numbers(7))
    assert _sizes(server) == [(3, True), (3, True), (1, False)]
    assert not [t for t in threading.enumerate() if t.name.startswith("freehold-spawn")]


async def test_async_inputs_are_read_on_the_loop_of_an_async_caller(server: FakeServer) -> None:
    async with app.run():
        await double.spawn_map.aio(_numbers(4))
        await double.experimental_spawn_map.aio([1, 2])
    assert [len(s.inputs) for s in server.submits] == [3, 2]


def test_inputs_that_fail_to_come_end_the_call(server: FakeServer) -> None:
    def broken() -> Iterator[int]:
        yield from range(4)
        msg = "no more"
        raise KeyError(msg)

    with app.run():
        with pytest.raises(KeyError, match="no more"):
            double.spawn_map(broken())
        until(lambda: server.cancelled == [server.submits[0].call])


def test_a_server_that_has_enough_is_waited_for(server: FakeServer) -> None:
    def slow() -> Iterator[int]:
        yield from range(3)
        server.tell(Room(server.submits[0].call, False)) if server.submits else None
        yield from range(3, 9)

    with app.run():
        released = threading.Timer(0.3, lambda: server.tell(Room(server.submits[0].call, True)))
        released.start()
        double.spawn_map(slow())
        released.join()
    assert sum(size for size, _ in _sizes(server)) == 9


def test_a_call_that_takes_no_more_says_so(server: FakeServer) -> None:
    def cancelled() -> Iterator[int]:
        yield from range(4)
        until(lambda: bool(server.submits))
        server.tell(Refused(server.submits[0].call, "failed_precondition", "it was cancelled"))
        yield from range(4, 20)

    with app.run(), pytest.raises(ConflictError, match="it was cancelled"):
        double.spawn_map(cancelled())


def test_a_generator_is_refused(server: FakeServer) -> None:
    with app.run(), pytest.raises(InvalidError, match="what it yields is kept nowhere"):
        numbers.spawn_map([1])
    assert not server.submits
