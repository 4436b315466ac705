"""Maps: order, laziness, the window, errors, async inputs."""

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.unit.sdk.fake_server import FakeServer, until

import freehold
from freehold.protocol.frames import Room
from freehold.sdk import client as clients
from freehold.sdk import mapping
from freehold.sdk.exchange import Exchange

app = freehold.App("maps")
turn = threading.Barrier(2)


@app.function()
def square(n: int) -> int:
    return n * n


@app.function()
def power(n: int, exponent: int = 2, *, plus: int = 0) -> int:
    return n**exponent + plus


@app.function()
def size(data: bytes) -> int:
    return len(data)


@app.function()
def picky(n: int) -> int:
    if n == 3:
        raise ValueError("three")
    return n


@pytest.fixture
def running(server: FakeServer) -> Iterator[FakeServer]:
    with app.run():
        yield server


def test_results_come_in_the_order_of_inputs(running: FakeServer) -> None:
    results: list[int] = list(square.map(range(200)))
    assert results == [n * n for n in range(200)]
    assert len(running.submits) == 1
    assert running.submits[0].kind == "map"


def test_results_in_any_order(running: FakeServer) -> None:
    assert sorted(square.map(range(50), order_outputs=False)) == sorted(n * n for n in range(50))


def test_several_iterables_and_fixed_arguments(running: FakeServer) -> None:
    assert list(power.map([1, 2, 3], [2, 3, 4], kwargs={"plus": 1})) == [2, 9, 82]
    assert list(power.starmap([(1, 2), (2, 3)])) == [1, 8]


def test_nothing_to_do(running: FakeServer) -> None:
    assert list(square.map([])) == []
    assert list(square.map(iter([]))) == []
    assert not running.submits


def test_for_each_waits_for_all(running: FakeServer) -> None:
    square.for_each(range(20))
    assert len(running.outputs[running.submits[0].call]) == 20
    picky.for_each(range(5), ignore_exceptions=True)
    with pytest.raises(ValueError, match="three"):
        picky.for_each(range(5))


def test_the_first_error_is_raised_or_all_are_returned(running: FakeServer) -> None:
    with pytest.raises(ValueError, match="three"):
        list(picky.map(range(5)))
    results: list[object] = list(picky.map(range(5), return_exceptions=True))
    assert [r if isinstance(r, int) else repr(r) for r in results] == [0, 1, 2, "ValueError('three')", 4]


def test_inputs_are_read_lazily(running: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "WINDOW", 10)
    numbers = itertools.count()
    results = square.map(numbers)
    assert list(itertools.islice(results, 25)) == [n * n for n in range(25)]
    results.close()
    assert next(numbers) <= 25 + 10 + 1
    until(lambda: running.cancelled == [running.submits[0].call])


def test_arguments_ahead_are_bounded_in_bytes(running: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "WINDOW_BYTES", 100_000)
    running.deaf = True
    taken: list[int] = []
    taker = threading.Thread(target=lambda: taken.extend(size.map([b"x" * 10_000] * 200)))
    taker.start()
    until(lambda: sum(len(e.inputs) for e in running.extends) >= 15)
    time.sleep(0.05)
    assert sum(len(e.inputs) for e in running.extends) == 15
    running.deaf = False
    running.break_links()
    taker.join(5)
    assert taken == [10_000] * 200


def test_a_map_sends_no_more_while_the_server_has_no_room(running: FakeServer) -> None:
    more = threading.Event()

    def numbers() -> Iterator[int]:
        yield 0
        assert more.wait(5)
        yield from range(1, 20)

    results = square.map(numbers())
    assert next(results) == 0
    running.tell(Room(running.submits[0].call, False))
    until(lambda: exchange_of(running).held)
    more.set()
    time.sleep(0.05)
    assert not [e for e in running.extends if e.inputs]
    running.tell(Room(running.submits[0].call, True))
    assert list(results) == [n * n for n in range(1, 20)]


def exchange_of(running: FakeServer) -> Exchange:
    return clients.current()._exchanges[running.submits[0].call]


def test_slow_inputs_do_not_hold_up_results(running: FakeServer) -> None:
    more = threading.Event()

    def numbers() -> Iterator[int]:
        yield 2
        assert more.wait(5)  # only after the first result was seen
        yield 3

    results = square.map(numbers())
    assert next(results) == 4
    more.set()
    assert list(results) == [9]


def test_an_error_of_the_inputs_is_raised(running: FakeServer) -> None:
    def numbers() -> Iterator[int]:
        yield 1
        raise KeyError("input")

    with pytest.raises(KeyError, match="input"):
        list(square.map(numbers()))
    with pytest.raises(TypeError):
        list(square.map(5))  # pyright: ignore[reportArgumentType]


async def _numbers() -> AsyncIterator[int]:
    for n in range(30):
        await asyncio.sleep(0)
        yield n


def test_async_inputs_of_a_caller_without_a_loop(running: FakeServer) -> None:
    assert list(square.map(_numbers())) == [n * n for n in range(30)]


async def test_async_inputs_of_a_sync_caller_on_a_loop(running: FakeServer) -> None:
    assert list(square.map(_numbers())) == [n * n for n in range(30)]  # as in a notebook


def test_an_item_that_is_no_tuple_is_an_error(running: FakeServer) -> None:
    with pytest.raises(TypeError, match="NoneType"):
        list(square.starmap([(1,), None, (2,)]))


async def test_async_inputs(running: FakeServer) -> None:
    async def numbers() -> AsyncIterator[int]:
        for n in range(30):
            yield n

    assert [n async for n in square.map.aio(numbers())] == [n * n for n in range(30)]
    assert [n async for n in square.map.aio(range(30))] == [n * n for n in range(30)]


def test_outputs_taken_are_reported(running: FakeServer) -> None:
    assert len(list(square.map(range(200)))) == 200
    until(lambda: running.consumed >= 128)
    assert running.consumed <= 200


def test_a_map_goes_on_over_a_broken_link(running: FakeServer) -> None:
    running.deaf = True
    results = square.map(range(20))
    taken: list[int] = []
    taker = threading.Thread(target=lambda: taken.extend(results))
    taker.start()
    until(lambda: sum(len(e.inputs) for e in running.extends) == 19)
    running.deaf = False
    running.break_links()
    taker.join(5)
    assert taken == [n * n for n in range(20)]
    again = running.submits[-1]
    assert (again.again, len(again.inputs), again.more) == (True, 20, False)
