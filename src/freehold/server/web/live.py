"""Server-sent events for pages: one word when something changed, and lines of a log as they are written.

Both streams gather what comes and send at a pace that a page can draw: a busy platform costs a page no more than a calm one.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from fastapi.responses import StreamingResponse

from freehold.server.api.contract import Events

CHANGE_EVERY_S = 2.0
LINES_EVERY_S = 0.15
KEEP_ALIVE_S = 15.0
_BATCH_MAX = 300
_KEEP_ALIVE = ": still here\n\n"
T = TypeVar("T")


def stream(parts: AsyncIterator[str]) -> StreamingResponse:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(parts, media_type="text/event-stream", headers=headers)


def event(name: str, data: str) -> str:
    """One event; every line of the data gets its own field, so no data can begin another event."""
    lines = "".join(f"data: {line}\n" for line in data.splitlines() or [""])
    return f"event: {name}\n{lines}\n"


async def changes(events: Events, kinds: frozenset[str], *, every_s: float = CHANGE_EVERY_S) -> AsyncIterator[str]:
    """`change` as soon as something of these kinds happened, and once more for what followed; at most one in `every_s`.

    Between the two nobody listens: thousands of events a second cost nothing.
    """
    happening = asyncio.create_task(_happens(events, kinds))
    try:
        yield ": open\n\n"
        while True:
            done, _ = await asyncio.wait({happening}, timeout=KEEP_ALIVE_S)
            if not done:
                yield _KEEP_ALIVE
                continue
            happening.result()
            yield event("change", "1")
            await asyncio.sleep(every_s)
            happening = asyncio.create_task(_happens(events, kinds))
            await asyncio.sleep(0)  # from here on it listens
            yield event("change", "1")
            await asyncio.sleep(every_s)
    finally:
        happening.cancel()


async def _happens(events: Events, kinds: frozenset[str]) -> None:
    """Return at the first event of these kinds."""
    source: Any = events.subscribe()
    async with aclosing(source) as happenings:
        async for happening in happenings:
            if not kinds or happening.kind in kinds:
                return


async def batches(lines: AsyncIterator[T], draw: Callable[[list[T]], str]) -> AsyncIterator[str]:
    """`lines` events, each with the drawn lines that came within `LINES_EVERY_S` of each other; `end` after the last."""
    queue: asyncio.Queue[T | None] = asyncio.Queue(_BATCH_MAX)
    reader = asyncio.create_task(_read(lines, queue))
    try:
        yield ": open\n\n"
        batch: list[T | None] = []
        while None not in batch:
            batch = await _gather(queue)
            drawable = [line for line in batch if line is not None]
            yield event("lines", draw(drawable)) if drawable else _KEEP_ALIVE
            await asyncio.sleep(LINES_EVERY_S)
        await reader
        yield event("end", "1")
    finally:
        reader.cancel()


async def _read(lines: AsyncIterator[T], queue: asyncio.Queue[T | None]) -> None:
    """Fill the queue; None stands for the end."""
    try:
        async for line in lines:
            await queue.put(line)
    finally:
        await queue.put(None)


async def _gather(queue: asyncio.Queue[T | None]) -> list[T | None]:
    """The first line that comes, and all that are there by then."""
    batch: list[T | None] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(KEEP_ALIVE_S):
            batch.append(await queue.get())
    while len(batch) < _BATCH_MAX and not queue.empty():
        batch.append(queue.get_nowait())
    return batch
