"""The face of the logs for the server's loop: whose output to collect, and what to read."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from freehold.protocol.schemas import LogLine
from freehold.server.logs.collector import Collector, Running, note_source
from freehold.server.logs.follow import Cursor
from freehold.server.logs.query import Keep, keeper, logs_of, query
from freehold.server.logs.raw import MARK
from freehold.server.logs.words import LogQuery, LogSource

_MAX_BYTES, _KEEP = 64 * 1024 * 1024, 5
_LOOK_AGAIN_S = 0.5  # for lines that others than the collector write, and for logs that are new


class Logs:
    """Collects from `instances/<id>/output` into `logs/<type>/<app>.jsonl`."""

    def __init__(
        self,
        logs: Path,
        instances: Path,
        *,
        max_bytes: int = _MAX_BYTES,
        keep: int = _KEEP,
        running: Running = lambda _: "",
    ) -> None:
        """`running` is asked, from the collector's thread, whose the lines are that do not say so."""
        self._root, self._instances = logs, instances
        self._collector = Collector(logs, instances, max_bytes=max_bytes, keep=keep, wrote=self._wrote, running=running)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._told = False

    def start(self) -> None:
        """Begin; first with what an earlier server left uncollected."""
        self._loop = asyncio.get_running_loop()
        self._collector.start()

    async def close(self) -> None:
        """Collect what is there, and end."""
        self._collector.tell(None)
        await asyncio.to_thread(self._collector.join)
        self._news.set()

    # ---- instances

    def add(self, instance: str, source: LogSource) -> None:
        """Collect this instance's output from now on; its file may come later. A server that is killed at once leaves word of it."""
        folder = self._instances / instance
        note_source(folder, source)
        self._collector.tell(lambda c: c.add(instance, source, folder / "output"))

    def ended(self, instance: str) -> None:
        """All its processes are gone: collect the rest, then delete its file."""
        self._collector.tell(lambda c: c.ended(instance))

    def note(self, instance: str, text: str) -> None:
        """Add a line of the platform to what an instance has written, if it has begun to."""
        record = msgspec.json.encode(["e", time.time(), "warning", "", "", text, "freehold", {}])
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            output = os.open(self._instances / instance / "output", flags)
        except OSError:  # nothing of it ran
            return
        with open(output, "wb", buffering=0) as file:  # noqa: PTH123 (a descriptor)
            file.write(MARK + record + b"\n")

    async def drained(self, app_id: str | None = None) -> None:  # noqa: ARG002 (one pass is for all)
        """Return when everything that is written now can be read by `query`."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def tell() -> None:
            loop.call_soon_threadsafe(lambda: done.done() or done.set_result(None))

        self._collector.tell(lambda c: c.drain(tell))
        await done

    # ---- reading

    def query(self, which: LogQuery) -> Iterator[LogLine]:
        """Lines by time; blocks on files, so call it in a thread."""
        return query(self._root, which)

    async def follow(self, which: LogQuery) -> AsyncIterator[LogLine]:
        """The lines that `which` asks for, then those to come, until the caller stops; no line missed, none twice."""
        cursors = {path: Cursor(path) for path in await asyncio.to_thread(logs_of, self._root, which)}
        keep = keeper(replace(which, tail=None))
        try:
            limits = {path: cursor.to_end() for path, cursor in cursors.items()}
            if which.tail is not None or which.since is not None:
                for line in await asyncio.to_thread(lambda: list(query(self._root, which, limits))):
                    yield line
            while True:
                news = self._news
                lines = await asyncio.to_thread(_read, list(cursors.values()), keep)
                for line in lines or ():
                    yield line
                if lines is None:
                    await _wait(news)
                    for path in logs_of(self._root, which):
                        cursors.setdefault(path, Cursor(path))
        finally:
            for cursor in cursors.values():
                cursor.close()

    def _wrote(self) -> None:
        """Wake the followers; called in the collector's thread."""
        if not self._told and self._loop is not None:
            self._told = True
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._told = False
        news, self._news = self._news, asyncio.Event()
        news.set()


def _read(cursors: Sequence[Cursor], keep: Keep) -> list[LogLine] | None:
    """The next lines of each, those that are asked for; None when nothing new is there."""
    blocks = [block for cursor in cursors if (block := cursor.read())]
    if not blocks:
        return None
    return [line for block in blocks for raw in block if (line := keep(raw)) is not None]


async def _wait(news: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(news.wait(), _LOOK_AGAIN_S)
