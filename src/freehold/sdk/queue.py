"""Queue: items that functions and programs hand to each other, first in first out, in partitions of one queue."""

import queue
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from functools import partial
from time import monotonic
from typing import Any, ClassVar

import msgspec

from freehold.core.errors import DeserializationError, InvalidError, RequestSizeError
from freehold.core.limits import (
    PARTITION_NAME_BYTES,
    PARTITION_TTL_S,
    QUEUE_ITEM_BYTES,
    QUEUE_PARTITION_BYTES,
    QUEUE_PARTITION_ITEMS,
    WAIT_S,
)
from freehold.protocol.payload import decode_payload, encode_payload
from freehold.protocol.stored import (
    Count,
    QueueGet,
    QueueItems,
    QueuePart,
    QueuePut,
    QueueScan,
    QueueScanned,
    QueueTaken,
)
from freehold.sdk.ephemeral import Ephemeral
from freehold.sdk.faces import both, both_items, drive_items, opens_static
from freehold.sdk.named import Named, NamedObjects, Noun
from freehold.sdk.serialization import dumps, loads
from freehold.sdk.tracebacks import warn
from freehold.sdk.types import QueueInfo


class Queue(Named):
    """Made by `from_name`, `ephemeral` or `from_id`. Each `partition` is a queue of its own; without one, it is that without a name."""

    _noun = Noun(one="queue", title="Queue")
    objects: ClassVar["NamedObjects[Queue]"]

    @staticmethod
    def from_id(queue_id: str, client: object = None) -> "Queue":
        """The Queue of this `object_id`, an ephemeral one too; nothing is asked of the server until it is used."""
        del client  # one server a process
        return Queue._from_id(queue_id)

    @opens_static
    @staticmethod
    def ephemeral(client: object = None, environment_name: str | None = None) -> "Ephemeral[Queue]":
        """`with Queue.ephemeral() as q:`, or `async with`: a Queue without a name that is deleted at the end."""
        del client  # as above
        return Queue._ephemeral(environment_name)

    @staticmethod
    def validate_partition_key(partition: str | None) -> bytes:
        """The bytes of a partition's name; InvalidError unless there are 1 to 64."""
        if partition is None:
            return b""
        data = partition.encode(errors="surrogatepass")
        if not 0 < len(data) <= PARTITION_NAME_BYTES:
            raise InvalidError(
                f"partition={partition!r} has {len(data)} bytes, and a partition's name 1 to {PARTITION_NAME_BYTES}; None is the one without a name"
            )
        return data

    @both
    async def info(self) -> QueueInfo:
        """Its name, and when it was made."""
        created_at = await self._handle.created_at()
        return QueueInfo(name=self._handle.name, created_at=created_at)

    # ---- putting

    @both
    async def put(
        self, v: Any, block: bool = True, timeout: float | None = None, *, partition: str | None = None,  # noqa: ASYNC109 (the name users know)
        partition_ttl: int = PARTITION_TTL_S,
    ) -> None:  # fmt: skip
        """Add an item at the end, durably. A full partition: wait for room up to `timeout`, then `queue.Full`; at once without `block`.

        The partition's items are dropped `partition_ttl` seconds after its last put.
        """
        await self._put([v], block, timeout, partition, partition_ttl)

    @both
    async def put_many(
        self, vs: Sequence[Any], block: bool = True, timeout: float | None = None, *, partition: str | None = None,  # noqa: ASYNC109 (the name users know)
        partition_ttl: int = PARTITION_TTL_S,
    ) -> None:  # fmt: skip
        """Add items at the end, all or none; else as `put`."""
        await self._put(list(vs), block, timeout, partition, partition_ttl)

    # ---- getting

    @both
    async def get(
        self,
        block: bool = True,
        timeout: float | None = None,  # noqa: ASYNC109 (the name users know)
        *,
        partition: str | None = None,
    ) -> Any | None:
        """Remove the first item. An empty partition: wait for one up to `timeout`, then `queue.Empty`; without `block`, None."""
        items = await self._get(1, block, timeout, partition)
        return items[0] if items else None

    @both
    async def get_many(
        self,
        n_values: int,
        block: bool = True,
        timeout: float | None = None,  # noqa: ASYNC109 (the name users know)
        *,
        partition: str | None = None,
    ) -> list[Any]:
        """Remove up to so many items, as many as there are. An empty partition: as `get`, but [] without `block`."""
        return await self._get(n_values, block, timeout, partition)

    @both_items
    async def iterate(
        self, *, partition: str | None = None, item_poll_timeout: float = 0.0
    ) -> AsyncGenerator[Any, None]:
        """The items that are there, and those that come within `item_poll_timeout` of the one before; all of them stay there."""
        async for data in self._items(partition, item_poll_timeout):
            yield self._read(data)

    async def _items(self, partition: str | None, item_poll_timeout: float) -> AsyncGenerator[bytes, None]:
        part, after = self.validate_partition_key(partition), 0
        deadline = monotonic() + item_poll_timeout
        while True:
            wait_s = max(0.0, min(WAIT_S, deadline - monotonic()))
            scan = QueueScan(partition=part, after=after, wait_s=wait_s)
            found = await self._handle.ask("items", scan, QueueScanned, wait_s=wait_s, again=True)
            for after, data in found.items:  # noqa: B007 (asked about next)
                yield data
            if found.items:
                deadline = monotonic() + item_poll_timeout
            elif monotonic() >= deadline:
                return

    @both
    async def len(self, *, partition: str | None = None, total: bool = False) -> int:
        """How many items a partition has; with `total`, all of them together."""
        if partition is not None and total:
            raise InvalidError(f"len(partition={partition!r}, total=True): give a partition or total, not both")
        part = QueuePart(partition=self.validate_partition_key(partition), all=total)
        return msgspec.json.decode(await self._handle.tell("len", part, again=True), type=Count).count

    @both
    async def clear(self, *, partition: str | None = None, all: bool = False) -> None:  # noqa: A002 (the name users know)
        """Remove the items of a partition, or of all."""
        if partition is not None and all:
            raise InvalidError(f"clear(partition={partition!r}, all=True): give a partition or all, not both")
        await self._handle.tell(
            "clear", QueuePart(partition=self.validate_partition_key(partition), all=all), again=True
        )

    # ---- how

    async def _put(
        self,
        values: list[Any],
        block: bool,
        timeout: float | None,  # noqa: ASYNC109 (the name users know)
        partition: str | None,
        ttl: float,
    ) -> None:
        if not block and timeout is not None:
            warn(f"Queue.put: timeout={timeout} is ignored where block=False")
        put = QueuePut(items=_packed(values), partition=self.validate_partition_key(partition), ttl_s=_ttl(ttl))
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            wait_s = _wait_s(deadline) if block else 0.0
            asked = msgspec.structs.replace(put, wait_s=wait_s)
            if (await self._handle.ask("put", asked, QueueTaken, wait_s=wait_s)).accepted:
                return
            if not block or (deadline is not None and monotonic() >= deadline):
                part = "its partition without a name" if partition is None else f"partition {partition!r}"
                raise queue.Full(
                    f"{self._handle.shown}: no room for {len(values)} more in {part}, which holds up to {QUEUE_PARTITION_ITEMS:,} items and "
                    f"{QUEUE_PARTITION_BYTES:,} bytes; get some, or put into another partition"
                )

    async def _get(self, count: int, block: bool, timeout: float | None, partition: str | None) -> list[Any]:  # noqa: ASYNC109 (the name users know)
        if count < 1:
            raise InvalidError(f"get_many({count}): ask for an item at least")
        if not block and timeout is not None:
            warn(f"Queue.get: timeout={timeout} is ignored where block=False")
        part = self.validate_partition_key(partition)
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            wait_s = _wait_s(deadline) if block else 0.0
            items = await self._take(QueueGet(partition=part, count=count, wait_s=wait_s))
            if items or not block:
                return items
            if deadline is not None and monotonic() >= deadline:
                raise queue.Empty

    async def _take(self, get: QueueGet) -> list[Any]:
        """Items of one answer, and of more where they were too large for one."""
        answer = await self._handle.ask("get", get, QueueItems, wait_s=get.wait_s, again=True)
        items = list(answer.items)
        while answer.more and len(items) < get.count:
            rest = QueueGet(partition=get.partition, count=get.count - len(items))
            answer = await self._handle.ask("get", rest, QueueItems, again=True)
            items += answer.items
        return [self._read(data) for data in items]

    def _read(self, data: bytes) -> Any:
        try:
            return loads(decode_payload(data))
        except (DeserializationError, msgspec.DecodeError) as error:
            raise DeserializationError(f"an item of {self._handle.shown} cannot be read: {error}") from error


Queue.objects = NamedObjects(Queue)


def unread_items(one: Queue, partition: str | None) -> Generator[Callable[[], Any], None, None]:
    """The items that are there, each to be read when it is called for, so that one that cannot be read hides no other."""
    for data in drive_items(one._items(partition, 0.0)):
        yield partial(one._read, data)


def _packed(values: Sequence[Any]) -> list[bytes]:
    items = [
        encode_payload(dumps(value, name="the item" if len(values) == 1 else f"item {n}"))
        for n, value in enumerate(values)
    ]
    for n, data in enumerate(items):
        if len(data) > QUEUE_ITEM_BYTES:
            which = "the item" if len(items) == 1 else f"item {n}"
            raise RequestSizeError(
                f"{which} has {len(data):,} bytes when pickled, and a Queue's item up to {QUEUE_ITEM_BYTES:,}: "
                "put it into a Dict or a Volume, and its key or path into the Queue"
            )
    size = sum(map(len, items))
    if len(items) > QUEUE_PARTITION_ITEMS or size > QUEUE_PARTITION_BYTES:
        raise RequestSizeError(
            f"Queue.put_many of {len(items):,} items and {size:,} bytes is over the limit: a partition holds {QUEUE_PARTITION_ITEMS:,} items and "
            f"{QUEUE_PARTITION_BYTES:,} bytes; put them in several calls"
        )
    return items


def _ttl(value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidError(
            f"partition_ttl={value!r} is no time to live: give seconds above 0, such as {PARTITION_TTL_S}"
        )
    return float(value)


def _wait_s(deadline: float | None) -> float:
    return WAIT_S if deadline is None else max(0.0, min(WAIT_S, deadline - monotonic()))
