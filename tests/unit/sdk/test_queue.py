"""Queue, both faces, against a real server in this process."""

import asyncio
import pickle
import queue
import threading
import time
from typing import Any

import pytest
from tests.e2e.harness import wait_for
from tests.unit.sdk.stored_server import StoredServer

import freehold
from freehold.core.errors import DeprecationError, InvalidError, NotFoundError, RequestSizeError, SerializationError
from freehold.core.limits import QUEUE_PARTITION_ITEMS


@pytest.fixture
def q(stored: StoredServer) -> freehold.Queue:
    return freehold.Queue.from_name("jobs", create_if_missing=True)


def test_first_in_first_out_by_partition(q: freehold.Queue) -> None:
    q.put(1)
    q.put_many(["two", {"three": 3}])
    q.put(None, partition="p")
    assert (q.len(), q.len(partition="p"), q.len(total=True)) == (3, 1, 4)
    assert list(q.iterate()) == [1, "two", {"three": 3}]
    assert q.get() == 1
    assert q.get_many(5) == ["two", {"three": 3}]
    assert q.get(partition="p", timeout=1) is None
    assert q.get(block=False) is None
    assert q.get_many(2, block=False) == []
    q.put_many([])
    assert q.len(total=True) == 0


def test_a_timeout_raises_the_standard_librarys_exceptions(q: freehold.Queue) -> None:
    begun = time.monotonic()
    with pytest.raises(queue.Empty):
        q.get(timeout=0.1)
    with pytest.raises(queue.Empty):
        q.get_many(3, timeout=0)
    q.put_many(list(range(QUEUE_PARTITION_ITEMS)))
    with pytest.raises(
        queue.Full,
        match=r"Queue 'jobs': no room for 1 more in its partition without a name, which holds up to 5,000 items",
    ):
        q.put("x", block=False)
    with pytest.raises(queue.Full, match="2 more"):
        q.put_many(["x", "y"], timeout=0.1)
    assert 0.2 <= time.monotonic() - begun < 10
    q.put("x", partition="another")
    threading.Timer(0.1, q.get).start()
    q.put("last", timeout=20)
    assert q.get_many(9_999)[-1] == "last"


def test_a_timeout_without_waiting_is_told_to_be_ignored(q: freehold.Queue) -> None:
    with pytest.warns(UserWarning, match="timeout=3 is ignored where block=False"):
        assert q.get(block=False, timeout=3) is None
    with pytest.warns(UserWarning, match="timeout=3 is ignored"):
        q.put(1, block=False, timeout=3)


def test_who_waits_is_served_at_once(q: freehold.Queue) -> None:
    threading.Timer(0.1, lambda: q.put("late")).start()
    begun = time.monotonic()
    assert q.get() == "late"
    assert 0.1 <= time.monotonic() - begun < 2


async def test_any_number_waits_on_one_loop_and_each_item_goes_once(stored: StoredServer) -> None:
    async with freehold.Queue.ephemeral() as q:
        waiting = [asyncio.ensure_future(q.get.aio(timeout=20)) for _ in range(60)]
        await asyncio.to_thread(wait_for, lambda: _waiting(stored) == 60)
        await asyncio.gather(*[q.put_many.aio([n, n + 1]) for n in range(0, 60, 2)])
        assert set(await asyncio.gather(*waiting)) == set(range(60))
        assert await q.len.aio() == 0


async def test_who_is_cancelled_takes_nothing(stored: StoredServer) -> None:
    q = freehold.Queue.from_name("jobs", create_if_missing=True)
    waiting = asyncio.ensure_future(q.get.aio())
    await asyncio.to_thread(wait_for, lambda: _waiting(stored) == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.to_thread(wait_for, lambda: _waiting(stored) == 0)
    await q.put.aio("x")
    assert await q.get.aio(timeout=1) == "x"


async def test_looking_goes_on_as_items_come_and_removes_none(stored: StoredServer) -> None:
    q = freehold.Queue.from_name("jobs", create_if_missing=True)
    await q.put_many.aio([1, 2])

    async def later() -> None:
        for n in (3, 4):
            await asyncio.sleep(0.1)
            await q.put.aio(n)

    task = asyncio.ensure_future(later())
    assert [item async for item in q.iterate.aio(item_poll_timeout=0.5)] == [1, 2, 3, 4]
    await task
    assert await q.len.aio() == 4
    assert [item async for item in q.iterate.aio()] == [1, 2, 3, 4]


def test_clearing(q: freehold.Queue) -> None:
    q.put(1)
    q.put(2, partition="p")
    q.put(3, partition="r")
    q.clear(partition="p")
    assert (q.len(total=True), q.len(partition="p")) == (2, 0)
    q.clear()
    assert q.len(total=True) == 1
    q.clear(all=True)
    assert q.len(total=True) == 0
    with pytest.raises(InvalidError, match="a partition or all"):
        q.clear(partition="p", all=True)
    with pytest.raises(InvalidError, match="a partition or total"):
        q.len(partition="p", total=True)


def test_partitions_have_names_of_bytes(q: freehold.Queue) -> None:
    for name in ("a\0b", "é" * 32, "/", "..", " ", "\ud800"):
        q.put(name, partition=name)
        assert q.get(partition=name, timeout=1) == name
    for name in ("", "x" * 65, "é" * 33):
        with pytest.raises(InvalidError, match="a partition's name 1 to 64"):
            q.put(1, partition=name)
        with pytest.raises(InvalidError):
            q.get(partition=name)
    assert freehold.Queue.validate_partition_key(None) == b""


def test_a_partition_expires(q: freehold.Queue, stored: StoredServer) -> None:
    q.put("soon gone", partition="p", partition_ttl=1)
    q.put("stays")
    assert q.len(total=True) == 2
    time.sleep(1.1)
    assert (q.len(partition="p"), q.len(total=True), q.get(partition="p", block=False)) == (0, 1, None)
    bad: Any
    for bad in (0, -1, "1", None, True, float("nan")):
        with pytest.raises(InvalidError, match="partition_ttl="):
            q.put(1, partition_ttl=bad)


def test_limits_are_told_before_anything_is_sent(q: freehold.Queue) -> None:
    with pytest.raises(
        RequestSizeError, match=r"the item has 1,1\d\d,\d\d\d bytes when pickled.*up to 1,048,576: put it into a Dict"
    ):
        q.put(b"x" * 1_100_000)
    with pytest.raises(RequestSizeError, match="item 1 has"):
        q.put_many([1, b"x" * 1_100_000])
    with pytest.raises(RequestSizeError, match="5,001 items"):
        q.put_many(list(range(5_001)))
    with pytest.raises(SerializationError, match=r"item 1 cannot be pickled: its \['lock'\]"):
        q.put_many([1, {"lock": threading.Lock()}])
    with pytest.raises(InvalidError, match=r"get_many\(0\)"):
        q.get_many(0)
    assert q.len() == 0


def test_many_large_items_come_in_several_answers(q: freehold.Queue) -> None:
    items = [bytes([n]) * 900_000 for n in range(30)]
    for n in range(0, 30, 10):
        q.put_many(items[n : n + 10])
    assert list(q.iterate()) == items
    assert q.get_many(25) == items[:25]
    assert q.get_many(25) == items[25:]


def test_handles(q: freehold.Queue) -> None:
    q.put(1)
    assert repr(q) == "Queue.from_name('jobs')"
    assert q.object_id.startswith("qu-")
    assert q.info().name == "jobs"
    assert pickle.loads(pickle.dumps(q)).get() == 1
    freehold.Queue.from_id(q.object_id).put(2)
    assert q.get() == 2
    with pytest.raises(InvalidError, match="from_name"):
        freehold.Queue()
    with pytest.raises(NotFoundError, match="no queue 'job'; did you mean 'jobs'"):
        freehold.Queue.from_name("job").len()


def test_an_ephemeral_queue_ends_with_its_block(stored: StoredServer) -> None:
    with freehold.Queue.ephemeral() as q:
        q.put(1)
        assert freehold.Queue.from_id(q.object_id).get() == 1
    with pytest.raises(NotFoundError, match="it was ephemeral"):
        q.put(1)
    assert freehold.Queue.objects.list() == []


def test_objects_and_old_spellings(stored: StoredServer) -> None:
    freehold.Queue.objects.create("one")
    freehold.Queue.objects.create("one", allow_existing=True)
    assert [one.name for one in freehold.Queue.objects.list()] == ["one"]
    with pytest.warns(DeprecationError, match=r"write Queue.from_name\('one'\)"):
        assert freehold.Queue.lookup("one").len() == 0
    with pytest.warns(DeprecationError, match=r"write Queue.objects.delete\('one'\)"):
        freehold.Queue.delete("one")
    with pytest.raises(NotFoundError):
        freehold.Queue.objects.delete("one")


def test_a_getter_goes_on_waiting_over_a_restart(q: freehold.Queue, stored: StoredServer) -> None:
    got = list[Any]()
    getter = threading.Thread(target=lambda: got.append(q.get(timeout=20)))
    q.put("first")
    assert q.get() == "first"
    getter.start()
    wait_for(lambda: _waiting(stored) == 1)
    stored.stop()
    stored.start()
    q.put("second")
    getter.join(60)
    assert got == ["second"]


def _waiting(stored: StoredServer) -> int:
    """How many requests wait at the server for an item."""
    return sum(len(places) for places in list(stored.world.queues._arrivals._places.values()))
