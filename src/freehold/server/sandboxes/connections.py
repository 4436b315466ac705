"""Connections into and out of a sandbox: a task each, joined end to end, ended with their listener."""

import asyncio
import contextlib
from collections.abc import Generator

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_PIECE_BYTES = 65_536


class Connections:
    """What one listener has accepted."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    @contextlib.contextmanager
    def served(self, writer: asyncio.StreamWriter) -> Generator[None, None, None]:
        """For the task that serves one: it is closed when the block ends, however it does."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.discard(task)
            writer.close()

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def join(one: Ends, other: Ends) -> None:
    """What comes in at an end goes out at the other, until both are done; `other` is closed then."""
    try:
        await asyncio.gather(_copy(one[0], other[1]), _copy(other[0], one[1]))
    finally:
        other[1].close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE_BYTES):
        writer.write(piece)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
