"""Messages on their way from the user's threads to the link: handed over in batches, one wake-up of the IO thread a batch."""

import asyncio
import threading
from collections import deque
from typing import Any

from freehold.protocol.link import Link

_TURN = 512  # messages a turn of the loop
_FULL = 1024


class Outbox:
    """Safe to post to from any thread; sends on the loop that `attach` named, in the order of posting."""

    def __init__(self) -> None:
        self._waiting: deque[Any] = deque()
        self._scheduled = True  # nothing is scheduled before there is a link
        self._loop: asyncio.AbstractEventLoop | None = None
        self._link: Link[Any] | None = None
        self._room = threading.Event()

    def attach(self, link: Link[Any]) -> None:
        """Begin to send, on the loop's thread."""
        self._loop, self._link = asyncio.get_running_loop(), link
        self._flush()

    def post(self, message: Any) -> None:
        self._waiting.append(message)
        if not self._scheduled:
            self._scheduled = True
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._flush)

    def post_now(self, message: Any) -> None:
        """As `post`, but from this thread where it can be; for what follows on nothing that was posted before."""
        if self._link is None or not self._link.send_now(message):
            self.post(message)

    @property
    def full(self) -> bool:
        """More is waiting than a producer should add to."""
        return len(self._waiting) > _FULL or (self._link is not None and self._link.congested)

    def wait_for_room(self) -> None:
        """Block until there is room."""
        while self.full:
            self._room.clear()
            self._room.wait(0.05)

    async def drain(self) -> None:
        """Wait until everything was given to the system; on the loop's thread."""
        while self._waiting and self._link is not None and self._link.open:  # noqa: ASYNC110 (once a life)
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)  # the link writes at the end of a turn
        if self._link is not None:
            await self._link.drain()

    def _flush(self) -> None:
        assert self._loop is not None
        assert self._link is not None
        if self._link.congested:
            self._loop.call_later(0.002, self._flush)
            return
        self._scheduled = False
        waiting, send = self._waiting, self._link.send
        for _ in range(min(len(waiting), _TURN)):
            send(waiting.popleft())
        if waiting and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)
        self._room.set()
