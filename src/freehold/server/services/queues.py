"""Queues: FIFO partitions of items as bytes, durable. What is put is committed before it is answered, and so is what is taken.

An item is taken at most once: who is gone before its answer begins gives its items back, and one that dies later loses them.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from freehold.core.clock import Clock, SystemClock
from freehold.core.errors import InvalidError, RequestSizeError, ResourceExhaustedError
from freehold.core.limits import (
    MIB,
    PARTITION_NAME_BYTES,
    QUEUE_ITEM_BYTES,
    QUEUE_PARTITION_BYTES,
    QUEUE_PARTITION_ITEMS,
    QUEUE_PARTITIONS,
    WAIT_S,
)
from freehold.protocol.stored import (
    Count,
    NamedRequest,
    QueueGet,
    QueuePart,
    QueuePut,
    QueueScan,
    QueueScanned,
    QueueView,
)
from freehold.server.services.named import QUEUE, Named
from freehold.server.services.waiters import Waiters
from freehold.server.store import writes
from freehold.server.store.contract import Store, Transaction
from freehold.server.store.rows import QueueItemRow, QueuePartitionRow, QueueRow

_ANSWER_BYTES, _ANSWER_ITEMS = 8 * MIB, QUEUE_PARTITION_ITEMS
_STEP = 20  # partitions that are deleted at once
T = TypeVar("T")
Spot = tuple[str, bytes]  # queue and partition
Items = list[tuple[int, bytes]]  # each with its number


class Taken(NamedTuple):
    """Items on their way out, as they were, so that they can be put back."""

    rows: Sequence[QueueItemRow]
    left: int = 0  # in the partition
    expires: float = 0.0


class Queues:
    """The queues of every workspace."""

    def __init__(self, store: Store, clock: Clock | None = None) -> None:
        self._store, self._clock = store, clock or SystemClock()
        self._named = Named(QUEUE, QueueRow, store=store, clock=self._clock)
        self._arrivals, self._lookers, self._room = Waiters[Spot](), Waiters[Spot](), Waiters[Spot]()
        self._ending = False
        self._returning: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        await self._named.open()

    def release(self) -> None:
        """Let nobody wait any longer: the server ends, and they ask the next one."""
        self._ending = True
        for waiters in (self._arrivals, self._lookers, self._room):
            waiters.wake_all(lambda _: True)

    async def close(self) -> None:
        """Wait until what comes back is back."""
        await asyncio.gather(*self._returning, return_exceptions=True)

    # ---- queues

    async def create(self, workspace: str, request: NamedRequest) -> QueueView:
        return await self._view(
            await self._named.create(workspace, request.name, allow_existing=request.allow_existing)
        )

    async def list(
        self, workspace: str, *, before: float | None = None, limit: int | None = None
    ) -> Sequence[QueueView]:
        return [await self._view(row) for row in await self._named.list(workspace, before=before, limit=limit)]

    async def get(self, workspace: str, ref: str) -> QueueView:
        return await self._view(await self._named.find(workspace, ref))

    async def beat(self, workspace: str, ref: str) -> None:
        await self._named.beat(workspace, ref)

    async def delete(self, workspace: str, ref: str) -> None:
        """From its first step on nobody finds it; a crash later leaves the rest to `sweep`."""
        await self._drain((await self._named.end(workspace, ref)).id)

    async def delete_all(self, workspace: str) -> None:
        """Delete all queues of a workspace."""
        for ref in await self._named.everything(workspace):
            await self.delete(workspace, ref)

    async def sweep(self) -> None:
        """End what is ephemeral and left, what was being deleted when the server died, and partitions past their time."""
        for queue_id in await self._named.expired():
            await self._named.forget(queue_id, end=True)
            await self._drain(queue_id)
        found = [(0, b"")] * _STEP
        while len(found) == _STEP:
            found = await self._store.read("expired_queue_partitions", {"now": self._clock.now(), "limit": _STEP})
            await self._remove([(row[0], row[1]) for row in found], expired=True)

    # ---- items

    async def put(self, workspace: str, ref: str, put: QueuePut) -> bool:
        """Add items, all or none; False when there was no room for them in time."""
        _check_put(put)
        spot = (await self._named.id_of(workspace, ref), put.partition)
        with self._room.place(spot) as place:
            deadline = self._deadline(put.wait_s)
            while True:
                place.look()
                if await self._put_in(workspace, spot, put):
                    return True
                self._room.pass_on(spot, place)  # who puts fewer may find room
                if self._ending or not await place.wait(deadline - time.monotonic()):
                    return False

    async def take(self, workspace: str, ref: str, get: QueueGet) -> Taken:
        """Remove items from the front; none when there were none in time. Who cannot tell of them calls `give_back`."""
        if get.count < 1:
            raise InvalidError(f"count={get.count} is below 1; ask for an item at least")
        spot = (await self._named.id_of(workspace, _check_partition(ref, get.partition)), get.partition)
        with self._arrivals.place(spot) as place:
            deadline = self._deadline(get.wait_s)
            while True:
                place.look()
                taken = await self._taken(workspace, spot, get.count)
                if taken.rows:
                    self._room.wake(spot, len(taken.rows))
                if taken.rows or self._ending or not await place.wait(deadline - time.monotonic()):
                    return taken

    async def scan(self, workspace: str, ref: str, scan: QueueScan) -> QueueScanned:
        """The items after a number; none when there were none in time."""
        spot = (await self._named.id_of(workspace, _check_partition(ref, scan.partition)), scan.partition)
        with self._lookers.place(spot) as place:
            deadline = self._deadline(scan.wait_s)
            while True:
                place.look()
                items = await self._scan(workspace, spot, scan.after)
                if items or self._ending or not await place.wait(deadline - time.monotonic()):
                    return QueueScanned(items=items)

    async def length(self, workspace: str, ref: str, part: QueuePart) -> Count:
        queue_id = (await self._named.find(workspace, _check_partition(ref, part.partition))).id
        if part.all:
            return Count(count=(await self._total(queue_id))[1])
        found = await self._partition(queue_id, part.partition)
        return Count(count=found.items if found else 0)

    async def clear(self, workspace: str, ref: str, part: QueuePart) -> None:
        queue_id = (await self._named.find(workspace, _check_partition(ref, part.partition))).id
        if part.all:
            await self._clear(queue_id)
        else:
            await self._remove([(queue_id, part.partition)])

    def give_back(self, taken: Taken) -> None:
        """Put items that nobody got to where they were; those behind them wait for nothing."""
        if taken.rows:
            task = asyncio.get_running_loop().create_task(self._give_back(taken))
            self._returning.add(task)
            task.add_done_callback(self._returning.discard)

    # ---- how

    def _put(self, tx: Transaction, workspace: str, spot: Spot, put: QueuePut) -> bool:
        queue = self._named.require(tx, workspace, spot[0])
        now, size, last, partitions = self._clock.now(), sum(map(len, put.items)), queue.sequence, queue.partitions
        found = _found(tx, spot)
        if found is not None and found.expires <= now:
            _empty(tx, spot, last, partitions)
            found, partitions = None, partitions - 1
        if found is None and partitions >= QUEUE_PARTITIONS:
            raise ResourceExhaustedError(
                f"queue {queue.name or queue.id!r} holds items in {QUEUE_PARTITIONS:,} partitions, which is the limit; get or clear some"
            )
        part = found or QueuePartitionRow(*spot, 0, 0, 0.0)
        if part.items + len(put.items) > QUEUE_PARTITION_ITEMS or part.bytes + size > QUEUE_PARTITION_BYTES:
            return False
        rows = [QueueItemRow(*spot, last + n, value) for n, value in enumerate(put.items, 1)]
        tx.write(writes.count_queue(spot[0], last + len(rows), partitions + (found is None)))
        _add(tx, rows, part._replace(expires=now + put.ttl_s))
        return True

    def _deadline(self, wait_s: float) -> float:
        return time.monotonic() + (0.0 if self._ending else max(0.0, min(wait_s, WAIT_S)))

    async def _put_in(self, workspace: str, spot: Spot, put: QueuePut) -> bool:
        def told(accepted: bool) -> None:
            if accepted:
                self._arrived(spot, len(put.items))

        work = self._store.transact(lambda tx: self._put(tx, workspace, spot, put))
        accepted = await _to_its_end(work, left=told)
        told(accepted)
        return accepted

    async def _taken(self, workspace: str, spot: Spot, count: int) -> Taken:
        work = self._store.transact(lambda tx: self._take(tx, workspace, spot, count))
        return await _to_its_end(work, left=self.give_back)

    def _take(self, tx: Transaction, workspace: str, spot: Spot, count: int) -> Taken:
        queue = self._named.require(tx, workspace, spot[0])
        part = _found(tx, spot)
        if part is None or part.expires <= self._clock.now():
            return Taken(())
        rows = tx.read("queue_items", _params(spot) | {"after": 0, "limit": min(count, _answered(part))})
        left = part.items - len(rows)
        if left <= 0:
            _empty(tx, spot, queue.sequence, queue.partitions)
        else:
            tx.write(writes.take_queue_items(*spot, rows[-1][0]))
            size = part.bytes - sum(len(row[1]) for row in rows)
            tx.write(writes.put_queue_partition(part._replace(items=left, bytes=size)))
        return Taken([QueueItemRow(*spot, *row) for row in rows], left, part.expires)

    async def _give_back(self, taken: Taken) -> None:
        spot = (taken.rows[0].queue_id, taken.rows[0].partition)

        def step(tx: Transaction) -> None:
            counted = tx.read("queue_counts", {"queue_id": spot[0]})
            if counted:  # else it was deleted meanwhile
                found = _found(tx, spot)
                tx.write(writes.count_queue(spot[0], counted[0][0], counted[0][1] + (found is None)))
                _add(tx, taken.rows, found or QueuePartitionRow(*spot, 0, 0, taken.expires))

        await self._store.transact(step)
        self._arrived(spot, len(taken.rows))

    async def _scan(self, workspace: str, spot: Spot, after: int) -> Items:
        await self._named.find(workspace, spot[0])
        part = await self._partition(*spot)
        if part is None:
            return []
        rows = await self._store.read("queue_items", _params(spot) | {"after": after, "limit": _answered(part)})
        return [(row[0], row[1]) for row in rows]

    async def _partition(self, queue_id: str, partition: bytes) -> QueuePartitionRow | None:
        rows = await self._store.read("queue_partition", _params((queue_id, partition)))
        found = QueuePartitionRow(*rows[0]) if rows else None
        return found if found is not None and found.expires > self._clock.now() else None

    async def _total(self, queue_id: str) -> tuple[int, int]:
        """Partitions, and items in all of them."""
        return (await self._store.read("queue_total", {"queue_id": queue_id, "now": self._clock.now()}))[0]  # pyright: ignore[reportReturnType]

    async def _view(self, row: QueueRow) -> QueueView:
        partitions, items = await self._total(row.id)
        return QueueView(id=row.id, name=row.name, created=row.created, partitions=partitions, items=items)

    def _arrived(self, spot: Spot, count: int) -> None:
        self._arrivals.wake(spot, count)
        self._lookers.wake(spot, 1 << 30)

    async def _drain(self, queue_id: str) -> None:
        for waiters in (self._arrivals, self._lookers, self._room):
            waiters.wake_all(lambda key: key[0] == queue_id)
        await self._clear(queue_id)
        await self._named.forget(queue_id)

    async def _clear(self, queue_id: str) -> None:
        after = b""
        while True:
            params = {"queue_id": queue_id, "begin": after, "limit": _STEP}
            found = [row[0] for row in await self._store.read("queue_partitions", params)]
            if not found:
                return
            await self._remove([(queue_id, partition) for partition in found])
            after = found[-1] + b"\0"

    async def _remove(self, spots: Sequence[Spot], *, expired: bool = False) -> None:
        """Empty partitions; with `expired`, those that are so still."""
        now = self._clock.now()

        def step(tx: Transaction) -> None:
            for spot in spots:
                part, counted = _found(tx, spot), tx.read("queue_counts", {"queue_id": spot[0]})
                if part is not None and counted and (not expired or part.expires <= now):
                    _empty(tx, spot, *counted[0])

        await self._store.transact(step)
        for spot in spots:
            self._room.wake(spot, QUEUE_PARTITION_ITEMS)


async def _to_its_end(work: Awaitable[T], *, left: Callable[[T], object]) -> T:
    """What `work` gives. It is committed though whoever waits leaves meanwhile: then `left` is told what it gave."""
    task = asyncio.ensure_future(_awaited(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(lambda done: done.cancelled() or done.exception() or left(done.result()))
        raise


async def _awaited(work: Awaitable[T]) -> T:
    return await work


# ---- inside a transaction


def _found(tx: Transaction, spot: Spot) -> QueuePartitionRow | None:
    rows = tx.read("queue_partition", _params(spot))
    return QueuePartitionRow(*rows[0]) if rows else None


def _add(tx: Transaction, rows: Sequence[QueueItemRow], part: QueuePartitionRow) -> None:
    tx.write(writes.insert_queue_items(rows))
    size = sum(len(row.value) for row in rows)
    tx.write(writes.put_queue_partition(part._replace(items=part.items + len(rows), bytes=part.bytes + size)))


def _empty(tx: Transaction, spot: Spot, last: int, partitions: int) -> None:
    """Delete a partition, of so many, with its items."""
    tx.write(writes.delete_queue_items(*spot))
    tx.write(writes.delete_queue_partition(*spot))
    tx.write(writes.count_queue(spot[0], last, partitions - 1))


def _answered(part: QueuePartitionRow) -> int:
    """How many of its items make an answer that is not too large, as far as their mean tells."""
    mean = max(1, part.bytes // max(1, part.items))
    return max(1, min(_ANSWER_ITEMS, _ANSWER_BYTES // mean))


def _params(spot: Spot) -> dict[str, Any]:
    return {"queue_id": spot[0], "part": spot[1]}


# ---- what is asked


def _check_put(put: QueuePut) -> None:
    _check_partition("", put.partition)
    if not 0 < put.ttl_s < math.inf:
        raise InvalidError(f"a partition's ttl of {put.ttl_s} s is none; give seconds above 0, such as 86400")
    if len(put.items) > QUEUE_PARTITION_ITEMS or sum(map(len, put.items)) > QUEUE_PARTITION_BYTES:
        raise RequestSizeError(
            f"{len(put.items):,} items of {sum(map(len, put.items)):,} bytes never fit in a partition, which holds "
            f"{QUEUE_PARTITION_ITEMS:,} items and {QUEUE_PARTITION_BYTES:,} bytes; put them in parts"
        )
    largest = max(map(len, put.items), default=0)
    if largest > QUEUE_ITEM_BYTES:
        raise RequestSizeError(
            f"an item of {largest:,} bytes is over the limit of {QUEUE_ITEM_BYTES:,}; put it into a Dict or a Volume, and its key or path into the queue"
        )


def _check_partition(ref: str, partition: bytes) -> str:
    if len(partition) > PARTITION_NAME_BYTES:
        raise InvalidError(
            f"partition {partition[:100]!r} has {len(partition)} bytes; a partition's name has 1 to {PARTITION_NAME_BYTES} (empty: the one without a name)"
        )
    return ref
