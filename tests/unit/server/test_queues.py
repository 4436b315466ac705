"""Queues: first in first out by partition, each item taken once, waiters woken at once, partitions with a time to live."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.server.harness import until

from freehold.core.clock import ManualClock
from freehold.core.errors import InvalidError, NotFoundError, RequestSizeError, ResourceExhaustedError
from freehold.core.limits import LEASE_S, MIB, QUEUE_PARTITION_ITEMS
from freehold.protocol.stored import NamedRequest, QueueGet, QueuePart, QueuePut, QueueScan
from freehold.server.services import queues as module
from freehold.server.services.queues import Queues
from freehold.server.store.sqlite import SqliteStore

W = "main"


class World:
    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, ManualClock()
        self.store = SqliteStore(folder / "freehold.db")

    async def open(self) -> Queues:
        await self.store.open()
        self.queues = Queues(self.store, self.clock)
        await self.queues.open()
        return self.queues

    async def again(self) -> Queues:
        """As after a restart."""
        await self.store.close()
        return await self.open()

    async def get(self, ref: str, count: int = 1, partition: bytes = b"", wait_s: float = 0.0) -> list[bytes]:
        taken = await self.queues.take(W, ref, QueueGet(partition=partition, count=count, wait_s=wait_s))
        return [row.value for row in taken.rows]

    async def put(
        self, ref: str, *items: bytes, partition: bytes = b"", wait_s: float = 0.0, ttl_s: float = 86_400
    ) -> bool:
        return await self.queues.put(
            W, ref, QueuePut(items=list(items), partition=partition, wait_s=wait_s, ttl_s=ttl_s)
        )

    async def count(self, ref: str, partition: bytes = b"", *, total: bool = False) -> int:
        return (await self.queues.length(W, ref, QueuePart(partition=partition, all=total))).count

    @property
    def waiting(self) -> int:
        """How many wait for an item, for a sight of one, or for room."""
        kinds = (self.queues._arrivals, self.queues._lookers, self.queues._room)
        return sum(len(places) for one in kinds for places in one._places.values())

    async def stored(self) -> tuple[int, int]:
        """Items and partitions that the database holds, of any queue."""
        ids = [q.id for q in await self.queues.list(W)]
        rows = [await self.store.read("queue_counts", {"queue_id": one}) for one in ids]
        items = [await self.store.read("queue_total", {"queue_id": one, "now": 0.0}) for one in ids]
        return sum(i[0][1] for i in items), sum(r[0][1] for r in rows)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    await world.open()
    yield world
    await world.queues.close()
    await world.store.close()


@pytest.fixture
async def ref(world: World) -> str:
    return (await world.queues.create(W, NamedRequest(name="q"))).id


async def test_items_come_out_as_they_went_in_by_partition(world: World, ref: str) -> None:
    assert await world.put(ref, b"1", b"2")
    assert await world.put(ref, b"x", partition=b"p\0\xff")
    assert await world.put("q", b"3")
    assert (await world.count(ref), await world.count(ref, b"p\0\xff"), await world.count(ref, total=True)) == (3, 1, 4)
    assert await world.get(ref, 2) == [b"1", b"2"]
    assert await world.put(ref, b"4")
    assert await world.get(ref, 9) == [b"3", b"4"]
    assert await world.get(ref) == []
    assert await world.get(ref, partition=b"p") == []
    assert await world.get(ref, partition=b"p\0\xff") == [b"x"]
    assert await world.stored() == (0, 0)


async def test_each_item_is_taken_once_by_many_and_in_order(world: World, ref: str) -> None:
    dice = random.Random(7)
    got: list[list[bytes]] = [[] for _ in range(20)]

    async def getter(n: int) -> None:
        while len(found := await world.get(ref, dice.randrange(1, 5), wait_s=0.3)):
            got[n] += found

    async def putter(n: int) -> None:
        for i in range(50):
            await world.put(ref, b"%d-%03d" % (n, i))

    await asyncio.gather(*[getter(n) for n in range(20)], *[putter(n) for n in range(10)])
    assert sorted(item for one in got for item in one) == sorted(
        b"%d-%03d" % (n, i) for n in range(10) for i in range(50)
    )
    for one in got:
        for n in range(10):
            mine = [item for item in one if item.startswith(b"%d-" % n)]
            assert mine == sorted(mine)


async def test_who_waits_is_woken_at_once(world: World, ref: str) -> None:
    waiting = [asyncio.ensure_future(world.get(ref, wait_s=20)) for _ in range(3)]
    await until(lambda: world.waiting == 3)
    async with asyncio.timeout(5):
        await world.put(ref, b"1", b"2", b"3")
        assert sorted(itertools.chain.from_iterable(await asyncio.gather(*waiting))) == [b"1", b"2", b"3"]
    looking = asyncio.ensure_future(world.queues.scan(W, ref, QueueScan(wait_s=20)))
    await until(lambda: world.waiting == 1)
    async with asyncio.timeout(5):
        await world.put(ref, b"4")
        assert [value for _, value in (await looking).items] == [b"4"]
    assert await world.get(ref, wait_s=0.05) == [b"4"]


async def test_a_full_partition_takes_all_or_nothing_and_then_what_there_is_room_for(world: World, ref: str) -> None:
    many = [b"%d" % n for n in range(QUEUE_PARTITION_ITEMS)]
    assert await world.put(ref, *many[:-1])
    assert not await world.put(ref, b"x", b"y")
    assert await world.put(ref, many[-1])
    assert not await world.put(ref, b"x", wait_s=0.05)
    assert await world.put(ref, b"x", partition=b"another")
    waiting = asyncio.ensure_future(world.put(ref, b"late", b"later", wait_s=20))
    await until(lambda: world.waiting == 1)
    assert await world.get(ref) == many[:1]
    await asyncio.sleep(0.05)
    assert not waiting.done()  # there is room for one
    await world.get(ref)
    assert await asyncio.wait_for(waiting, 20)
    assert (await world.get(ref, 9_999))[-2:] == [b"late", b"later"]


async def test_a_partition_holds_so_many_bytes(world: World, ref: str) -> None:
    for _ in range(64):
        assert await world.put(ref, bytes(MIB))
    assert not await world.put(ref, b"x")
    first = await world.queues.take(W, ref, QueueGet(count=64))
    assert 0 < len(first.rows) < 64  # an answer is bounded
    assert first.left == 64 - len(first.rows)
    assert await world.put(ref, b"x")
    while await world.get(ref, 64):
        pass
    assert await world.stored() == (0, 0)


async def test_an_item_whose_getter_left_goes_back_to_its_place(world: World, ref: str) -> None:
    await world.put(ref, b"1", b"2", b"3", ttl_s=50)
    leaving = asyncio.ensure_future(world.get(ref, 2))
    await asyncio.sleep(0)
    leaving.cancel()  # while its removal is on the way to the disk
    with pytest.raises(asyncio.CancelledError):
        await leaving
    got: list[bytes] = []
    async with asyncio.timeout(20):
        while len(got) < 3:  # at once those behind them, if they are not back yet
            got += await world.get(ref, 3, wait_s=1)
    assert sorted(got) == [b"1", b"2", b"3"]
    await world.put(ref, b"1", b"2", ttl_s=50)
    taken = await world.queues.take(W, ref, QueueGet(count=2))
    waiting = asyncio.ensure_future(world.get(ref, 9, wait_s=5))
    await until(lambda: world.waiting == 1)
    world.queues.give_back(taken)
    assert await asyncio.wait_for(waiting, 20) == [b"1", b"2"]
    await world.put(ref, b"1", b"2", ttl_s=50)
    taken = await world.queues.take(W, ref, QueueGet())
    world.queues.give_back(taken)
    await world.queues.close()
    assert await world.get(ref, 9) == [b"1", b"2"]
    assert await world.stored() == (0, 0)


async def test_a_cancelled_getter_loses_nothing(world: World, ref: str) -> None:
    """Whenever it is cancelled: what it did not return is still there."""
    dice, got = random.Random(3), list[bytes]()
    for n in range(150):
        await world.put(ref, b"%03d" % n)
        task = asyncio.ensure_future(world.get(ref, wait_s=1))
        for _ in range(dice.randrange(6)):
            await asyncio.sleep(0 if dice.random() < 0.6 else 0.001)
        task.cancel()
        got += await _result(task)
    await world.queues.close()
    while found := await world.get(ref, 1000):
        got += found
    assert sorted(got) == [b"%03d" % n for n in range(150)]


async def _result(task: "asyncio.Task[list[bytes]]") -> list[bytes]:
    try:
        return await task
    except asyncio.CancelledError:
        return []


async def test_a_partition_lives_so_long_after_its_last_put(world: World, ref: str) -> None:
    await world.put(ref, b"a", partition=b"short", ttl_s=10)
    await world.put(ref, b"b", partition=b"long")
    world.clock.advance(6)
    await world.put(ref, b"c", partition=b"short", ttl_s=10)
    world.clock.advance(6)
    assert await world.count(ref, b"short") == 2
    world.clock.advance(6)
    assert (await world.count(ref, b"short"), await world.count(ref, total=True)) == (0, 1)
    assert await world.get(ref, partition=b"short") == []
    assert (await world.queues.scan(W, ref, QueueScan(partition=b"short"))).items == []
    await world.put(ref, b"d", partition=b"short", ttl_s=10)
    assert await world.get(ref, 9, b"short") == [b"d"]
    await world.put(ref, b"e", partition=b"short", ttl_s=10)
    world.clock.advance(11)
    await world.queues.sweep()
    assert await world.stored() == (1, 1)


async def test_partitions_are_limited_to_those_that_hold_items(
    world: World, ref: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUEUE_PARTITIONS", 3)
    for n in range(3):
        await world.put(ref, b"x", partition=b"%d" % n, ttl_s=10 if n else 1000)
    with pytest.raises(ResourceExhaustedError, match="queue 'q' holds items in 3 partitions, which is the limit"):
        await world.put(ref, b"x", partition=b"3")
    await world.put(ref, b"x", partition=b"2", ttl_s=10)
    await world.get(ref, partition=b"0")
    assert await world.put(ref, b"x", partition=b"3")
    world.clock.advance(11)
    await world.queues.sweep()
    for n in range(2):
        assert await world.put(ref, b"x", partition=b"new%d" % n)


async def test_looking_removes_nothing_and_goes_on_where_it_was(world: World, ref: str) -> None:
    await world.put(ref, b"1", b"2")
    first = (await world.queues.scan(W, ref, QueueScan())).items
    assert [value for _, value in first] == [b"1", b"2"]
    await world.get(ref, 2)
    assert (await world.queues.scan(W, ref, QueueScan(after=first[-1][0], wait_s=0.02))).items == []
    waiting = asyncio.ensure_future(world.queues.scan(W, ref, QueueScan(after=first[-1][0], wait_s=5)))
    await until(lambda: world.waiting == 1)
    await world.put(ref, b"3")
    assert [value for _, value in (await asyncio.wait_for(waiting, 20)).items] == [b"3"]
    assert await world.count(ref) == 1


async def test_clearing(world: World, ref: str) -> None:
    for n in range(45):
        await world.put(ref, b"x", b"y", partition=b"%d" % n if n else b"")
    await world.queues.clear(W, ref, QueuePart(partition=b"7"))
    assert await world.count(ref, total=True) == 88
    await world.queues.clear(W, ref, QueuePart())
    assert await world.count(ref, total=True) == 86
    await world.queues.clear(W, ref, QueuePart(all=True))
    assert await world.stored() == (0, 0)


async def test_deleting_wakes_who_waits(world: World, ref: str) -> None:
    waiting = asyncio.ensure_future(world.get(ref, wait_s=20, partition=b"p"))
    await world.put(ref, b"x")
    await until(lambda: world.waiting == 1)
    await world.queues.delete(W, "q")
    with pytest.raises(NotFoundError):
        await asyncio.wait_for(waiting, 20)
    assert await world.store.read("queue_items", {"queue_id": ref, "part": b"", "after": 0, "limit": 9}) == []
    with pytest.raises(NotFoundError, match="no queue 'q'"):
        await world.get("q")


async def test_after_a_restart_all_is_there(world: World, ref: str) -> None:
    await world.put(ref, b"1", b"2", b"3", partition=b"p")
    assert await world.get(ref, partition=b"p") == [b"1"]
    await world.again()
    assert await world.get(ref, 9, b"p") == [b"2", b"3"]
    await world.put(ref, b"4")
    assert await world.get(ref) == [b"4"]


async def test_an_ephemeral_queue_goes_with_its_client(world: World) -> None:
    one = (await world.queues.create(W, NamedRequest())).id
    await world.put(one, b"x", partition=b"p")
    world.clock.advance(LEASE_S * 0.9)
    await world.queues.beat(W, one)
    world.clock.advance(LEASE_S * 0.9)
    await world.queues.sweep()
    assert await world.get(one, partition=b"p") == [b"x"]
    world.clock.advance(LEASE_S)
    await world.queues.sweep()
    with pytest.raises(NotFoundError, match="its client has ended"):
        await world.put(one, b"x")


async def test_a_queue_is_of_its_workspace(world: World, ref: str) -> None:
    await world.put(ref, b"x")
    q = world.queues
    for wrong in (
        q.put("other", ref, QueuePut(items=[b"y"])), q.take("other", ref, QueueGet()), q.scan("other", ref, QueueScan()), q.delete("other", ref),
        q.length("other", ref, QueuePart()), q.clear("other", ref, QueuePart(all=True)), q.get("other", "q"), q.beat("other", ref),
    ):  # fmt: skip
        with pytest.raises(NotFoundError):
            await wrong
    assert await world.get(ref, 9) == [b"x"]


async def test_all_of_a_workspace_can_be_deleted(world: World, ref: str) -> None:
    kept = (await world.queues.create("other", NamedRequest(name="q"))).id
    loose = (await world.queues.create(W, NamedRequest())).id
    await world.put(ref, b"x")
    await world.queues.delete_all(W)
    for one in (ref, loose):
        with pytest.raises(NotFoundError):
            await world.queues.get(W, one)
    assert (await world.queues.get("other", "q")).id == kept
    assert await world.store.read("queue_items", {"queue_id": ref, "part": b"", "after": 0, "limit": 9}) == []


async def test_limits_name_the_value_the_limit_and_the_fix(world: World, ref: str) -> None:
    with pytest.raises(
        RequestSizeError, match=r"item of 1,048,577 bytes is over the limit of 1,048,576; put it into a Dict"
    ):
        await world.put(ref, b"x" * (MIB + 1))
    with pytest.raises(RequestSizeError, match=r"5,001 items .* never fit in a partition.*put them in parts"):
        await world.put(ref, *[b""] * 5001)
    with pytest.raises(InvalidError, match="has 65 bytes; a partition's name has 1 to 64"):
        await world.put(ref, b"x", partition=b"p" * 65)
    with pytest.raises(InvalidError, match="has 65 bytes"):
        await world.get(ref, partition=b"p" * 65)
    for ttl_s in (0, -1, float("nan"), float("inf")):
        with pytest.raises(InvalidError, match="ttl of"):
            await world.put(ref, b"x", ttl_s=ttl_s)
    with pytest.raises(InvalidError, match="count=0"):
        await world.get(ref, 0)
    assert await world.stored() == (0, 0)


async def test_who_puts_little_does_not_wait_behind_who_puts_much(world: World, ref: str) -> None:
    await world.put(ref, *[b"x"] * QUEUE_PARTITION_ITEMS)
    much = asyncio.create_task(world.put(ref, *[b"m"] * 100, wait_s=5))
    await asyncio.sleep(0.05)
    little = asyncio.create_task(world.put(ref, b"l", wait_s=5))
    await asyncio.sleep(0.05)
    await world.get(ref)
    async with asyncio.timeout(3):
        assert await little
    assert not much.done()
    await world.get(ref, count=99)
    await world.get(ref)
    async with asyncio.timeout(3):
        assert await much


async def test_a_number_that_no_item_can_have_is_refused(world: World, ref: str) -> None:
    await world.put(ref, b"x")
    with pytest.raises(InvalidError, match="below"):
        await world.queues.scan(W, ref, QueueScan(after=2**63))


async def test_who_leaves_while_it_puts_wakes_those_who_wait(world: World, ref: str) -> None:
    waiting = asyncio.create_task(world.get(ref, wait_s=5))
    await asyncio.sleep(0.05)
    putting = asyncio.create_task(world.put(ref, b"x", wait_s=5))
    while not world.store.pending:  # noqa: ASYNC110 (till it is on its way)
        await asyncio.sleep(0)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    async with asyncio.timeout(3):
        assert await waiting == [b"x"]
