"""Spawn a map: its inputs go out in chunks, each once the one before is durable, so that nothing is lost and nobody floods."""

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from freehold.protocol.frames import Accepted, Input, Submit
from freehold.protocol.payload import payload_bytes
from freehold.sdk.client import Client
from freehold.sdk.exchange import Exchange
from freehold.sdk.faces import Gate, blocking, pause
from freehold.sdk.mapping import Arguments, Inputs

CHUNK, CHUNK_BYTES, CHUNK_S = 500, 8 * 2**20, 0.2  # a chunk is sent when any of these is reached
_END: Any = object()
Encode = Callable[[Arguments], Input]
Make = Callable[[list[Input], bool], Submit]


async def spawn(client: Client, inputs: Inputs, *, make: Make, encode: Encode) -> str:
    """A core: send all inputs; return the call's id once the server has written down every one of them."""
    feed = _AsyncFeed(inputs, encode) if isinstance(inputs, AsyncIterable) else _Feed(iter(inputs), encode)
    exchange: Exchange | None = None
    done = False
    try:
        while not done:
            chunk, done = await feed.take()
            if exchange is None:
                exchange = Exchange(submit=make(chunk, not done))
                exchange.room = Gate()
                client.submit(exchange)
            else:
                client.post(exchange.extend_all(chunk, more=not done))
            await _durable(exchange, feed.sent)
            while exchange.held and exchange.room is not None:
                await exchange.room
        assert exchange is not None
        return exchange.call
    except BaseException:
        if exchange is not None:
            client.abandon(exchange.call)
        raise
    finally:
        feed.close()
        if exchange is not None:
            client.forget(exchange)


async def _durable(exchange: Exchange, count: int) -> None:
    while True:
        answer = await exchange.take()
        if isinstance(answer, Accepted) and answer.inputs >= count:
            return


class _Chunk:
    """Inputs until there are enough of them."""

    def __init__(self) -> None:
        self.inputs: list[Input] = []
        self._bytes, self._began = 0, time.monotonic()

    def add(self, one: Input) -> None:
        self.inputs.append(one)
        self._bytes += payload_bytes(one.payload)

    @property
    def full(self) -> bool:
        many = len(self.inputs) >= CHUNK or self._bytes >= CHUNK_BYTES
        return many or (bool(self.inputs) and time.monotonic() - self._began > CHUNK_S)


class _Feed:
    """Chunks of an iterator; reads one ahead, so that the last chunk is known to be it."""

    def __init__(self, items: Iterator[Arguments], encode: Encode) -> None:
        self._items, self._encode = items, encode
        self._next: Any = None  # not read yet
        self.sent = 0

    async def take(self) -> tuple[list[Input], bool]:
        """A core: the next chunk, and whether it is the last."""
        return await blocking(self._take)

    def close(self) -> None:
        pass

    def _take(self) -> tuple[list[Input], bool]:
        chunk = _Chunk()
        if self._next is None:
            self._next = next(self._items, _END)
        while self._next is not _END and not chunk.full:
            chunk.add(self._encode(self._next))
            self._next = next(self._items, _END)
        self.sent += len(chunk.inputs)
        return chunk.inputs, self._next is _END


class _AsyncFeed:
    """The same of async inputs: read on the caller's loop; for a sync caller, on one beside it."""

    def __init__(self, items: AsyncIterable[Arguments], encode: Encode) -> None:
        self._items: AsyncIterator[Arguments] = aiter(items)
        self._encode = encode
        self._next: Any = None
        self._beside: ThreadPoolExecutor | None = None
        self._runner = asyncio.Runner()
        self.sent = 0

    async def take(self) -> tuple[list[Input], bool]:
        step = _Taking(self)
        await pause(step)
        return step.taken

    def close(self) -> None:
        if self._beside is not None:
            self._beside.submit(self._runner.close).result()
            self._beside.shutdown()

    def take_beside(self) -> tuple[list[Input], bool]:
        self._beside = self._beside or ThreadPoolExecutor(1, "freehold-spawn")
        return self._beside.submit(lambda: self._runner.run(self.take_here())).result()

    async def take_here(self) -> tuple[list[Input], bool]:
        chunk = _Chunk()
        if self._next is None:
            self._next = await anext(self._items, _END)
        while self._next is not _END and not chunk.full:
            chunk.add(self._encode(self._next))
            self._next = await anext(self._items, _END)
        self.sent += len(chunk.inputs)
        return chunk.inputs, self._next is _END


class _Taking:
    """A step: the next chunk of async inputs."""

    taken: tuple[list[Input], bool]

    def __init__(self, feed: _AsyncFeed) -> None:
        self._feed = feed

    def block(self) -> None:
        self.taken = self._feed.take_beside()

    async def settle(self) -> None:
        self.taken = await self._feed.take_here()
