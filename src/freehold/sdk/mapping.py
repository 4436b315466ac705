"""Map: one call with many inputs. Inputs are read lazily, at most a window of them ahead of what the user has taken."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, cast

from freehold.protocol.frames import Consumed, Input, Output, Status, Submit
from freehold.sdk.client import Client
from freehold.sdk.exchange import Exchange, Fed
from freehold.sdk.faces import Gate, drive, drive_async, pause
from freehold.sdk.outcome import value_of

WINDOW = 1000
WINDOW_BYTES = 256 * 2**20  # of arguments without an answer; a few inputs may go beyond
_LEAST_AHEAD = 16
_CONSUMED_EVERY = 64
_END: Any = object()
Arguments = tuple[Any, ...]
Inputs = Iterable[Arguments] | AsyncIterable[Arguments]


class Mapping:
    """One running map: a feeder sends inputs while the user takes outputs."""

    def __init__(self, client: Client, make: Callable[[Input], Submit], encode: Callable[[Arguments], Input]) -> None:
        self._client, self._make, self._encode = client, make, encode
        self._exchange: Exchange | None = None
        self._room, self._begun = Gate(), Gate()
        self._sent = self._taken = 0
        self._total: int | None = None
        self._closed = False
        self._error: BaseException | None = None
        self._unreported = 0
        self._task: asyncio.Task[None] | None = None

    # ---- feeding

    async def start(self, inputs: Inputs) -> None:
        """A core: feed what is known and has room at once, the rest from a thread; async ones from the user's loop, if that goes on."""
        if isinstance(inputs, AsyncIterable):
            await pause(_FeedAsync(self, inputs))
            return
        rest = iter(inputs)
        if not isinstance(inputs, list) or not self._feed(rest, wait=False):
            _in_thread(partial(self._feed, rest, wait=True))

    def _feed(self, inputs: Iterator[Arguments], *, wait: bool) -> bool:
        """Send inputs until there are no more, or the user has gone; False when there was no room left and it was not to wait."""
        try:
            while wait or self._has_room():
                arguments = next(inputs, _END)
                if arguments is _END:
                    self._finish()
                    return True
                if not drive(self._admit(arguments)):
                    return True
        except BaseException as error:  # noqa: BLE001 (the consumer raises it)
            self._fail(error)
            return True
        return False

    def feed_from_loop(self, inputs: AsyncIterable[Arguments]) -> None:
        """Feed from a task of the running loop."""
        self._task = asyncio.get_running_loop().create_task(self.feed_async(inputs))

    async def feed_async(self, inputs: AsyncIterable[Arguments]) -> None:
        """Send inputs until there are no more, or the user has gone."""
        try:
            async for arguments in inputs:
                if not await drive_async(self._admit(arguments)):
                    return
            self._finish()
        except BaseException as error:  # noqa: BLE001 (as above)
            self._fail(error)

    async def _admit(self, arguments: Arguments) -> bool:
        """A core: send one input as soon as the window has room; False when the user has gone."""
        while not self._closed and not self._has_room():
            await self._room
        if self._closed:
            return False
        one = self._encode(arguments)
        exchange = self._exchange
        if exchange is None:
            submit = self._make(one)
            exchange = Exchange(submit=submit)
            exchange.room = self._room
            self._exchange = exchange
            self._client.submit(exchange)
            self._begun.open()
        else:
            self._client.post(exchange.extend(one, more=True))
        self._sent += 1
        return True

    def _has_room(self) -> bool:
        ahead, exchange = self._sent - self._taken, self._exchange
        if exchange is None:
            return True
        if ahead >= WINDOW or exchange.held:
            return False
        return ahead < _LEAST_AHEAD or exchange.unanswered_bytes < WINDOW_BYTES

    def _finish(self) -> None:
        exchange = self._exchange
        self._total = self._sent
        if exchange is not None:
            exchange.done = True
            self._client.post(exchange.extend_none())
            exchange.put(Fed(self._sent))
        self._begun.open()

    def _fail(self, error: BaseException) -> None:
        self._error = error
        if self._exchange is not None:
            self._exchange.put(error)
        self._begun.open()

    # ---- taking

    async def outputs(self, *, ordered: bool, return_exceptions: bool) -> AsyncGenerator[Any, None]:
        """A core: the results."""
        early: dict[int, Output] = {}
        try:
            while self._exchange is None and self._total is None and self._error is None:
                await self._begun
            if self._error is not None:
                raise self._error
            while self._total is None or self._taken < self._total:
                output = early.pop(self._taken, None) if ordered else None
                if output is None:
                    output = await self._next()
                    if output is None:
                        continue
                    if ordered and output.index != self._taken:
                        early[output.index] = output
                        continue
                self._took()
                yield self._value(output, return_exceptions=return_exceptions)
        finally:
            self._close()

    async def _next(self) -> Output | None:
        assert self._exchange is not None
        if self._unreported and not self._exchange.ready:
            self._report()
        answer = await self._exchange.take()
        return answer if isinstance(answer, Output) else None

    def _value(self, output: Output, *, return_exceptions: bool) -> Any:
        if not return_exceptions or output.status == Status.OK:
            return value_of(output, self._client)
        try:
            return value_of(output, self._client)
        except Exception as error:  # noqa: BLE001 (it was asked for)
            return error

    def _took(self) -> None:
        self._taken += 1
        self._unreported += 1
        self._room.open()
        if self._unreported >= _CONSUMED_EVERY:
            self._report()

    def _report(self) -> None:
        assert self._exchange is not None
        self._client.post(Consumed(self._exchange.call, self._unreported))
        self._unreported = 0

    def _close(self) -> None:
        self._closed = True
        self._room.open()
        if self._task is not None:
            self._task.cancel()
        if self._exchange is not None:
            self._client.forget(self._exchange)
            if self._total is None or self._taken < self._total:
                self._client.abandon(self._exchange.call)


class _FeedAsync:
    """The begin of a map over async inputs: on the loop of an async caller; a sync one blocks its thread, so on a loop beside it."""

    def __init__(self, mapping: Mapping, inputs: AsyncIterable[Arguments]) -> None:
        self._mapping, self._inputs = mapping, inputs

    def block(self) -> None:
        _in_thread(lambda: asyncio.run(self._mapping.feed_async(self._inputs)))

    async def settle(self) -> None:
        self._mapping.feed_from_loop(self._inputs)


def _in_thread(feed: Callable[[], object]) -> None:
    run = contextvars.copy_context().run
    threading.Thread(target=run, args=(feed,), name="freehold-map", daemon=True).start()


def arguments_of(iterators: tuple[Any, ...]) -> Inputs:
    """Arguments of a `map` over one or several iterables, async ones included."""
    if any(isinstance(i, AsyncIterable) for i in iterators):
        return _zip_async(iterators)
    if len(iterators) == 1:
        single = ((x,) for x in iterators[0])
        return list(single) if _small(iterators[0]) else single
    together = zip(*iterators, strict=False)
    return list(together) if all(_small(i) for i in iterators) else together


def _small(items: object) -> bool:
    """Known whole, and within the window, so that feeding it waits for nobody."""
    return isinstance(items, (list, tuple, range)) and len(cast("Sequence[Any]", items)) < WINDOW


async def _zip_async(iterators: tuple[Any, ...]) -> AsyncGenerator[Arguments, None]:
    sources = [aiter(cast("AsyncIterable[Any]", i)) if isinstance(i, AsyncIterable) else _async(i) for i in iterators]
    while True:
        try:
            yield tuple([await anext(s) for s in sources])
        except StopAsyncIteration:
            return


async def _async(items: Iterable[Any]) -> AsyncGenerator[Any, None]:
    for item in items:
        yield item
