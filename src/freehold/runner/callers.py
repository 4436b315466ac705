"""Requests of callers who may leave: no more at once than the instance has slots, and ended when nobody waits for their answer."""

import asyncio
import contextlib
import logging
from collections import deque

import anyio

from freehold.runner import output
from freehold.runner.asgi import Asgi, Message, Receive, Send
from freehold.sdk import context

_logger = logging.getLogger("uvicorn.error")
_AHEAD = 2  # parts of a body
_GRACE_S = 0.25  # for an app that notices by itself that its caller left


class Callers:
    """Stands before the web apps of one instance."""

    def __init__(self, slots: int) -> None:
        self._slots = asyncio.Semaphore(slots)

    def before(self, app: Asgi) -> Asgi:
        """The app, with an end to its requests when their callers leave.

        A slot is free when the answer is whole, so that what runs after it does not hold up the next request, or when the app has
        returned: code in a thread cannot be stopped and keeps its slot to its end.
        """

        async def serve(scope: Message, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                await app(scope, receive, send)
                return
            _note_ids(scope)
            queued = self._slots.locked()
            try:
                async with contextlib.AsyncExitStack() as stack:
                    await stack.enter_async_context(self._slots)
                    if scope["type"] == "http":
                        await _Visit(scope, receive, send, stack).serve(app, queued=queued)
                    else:
                        await app(scope, receive, send)
            finally:
                output.flush()  # what it printed last, without a line end

        return serve


class _Visit:
    """One HTTP request. What its caller sends is read a little ahead of the app, so that its leaving is seen."""

    def __init__(self, scope: Message, receive: Receive, send: Send, slot: contextlib.AsyncExitStack) -> None:
        self._scope, self._receive, self._send, self._slot = scope, receive, send, slot
        self._inbox: deque[Message] = deque()
        self._changed = asyncio.Event()  # of the inbox, or of `_left`
        self._left = self._answered = False
        self._reader: asyncio.Task[None] | None = None
        self._running = anyio.CancelScope()

    async def serve(self, app: Asgi, *, queued: bool) -> None:
        """Run the app, unless the caller left while the request was queued."""
        if not _has_body(self._scope):
            self._read_on()
            if queued:
                await self._changed.wait()
        try:
            if not self._left:
                with self._running:
                    await app(self._scope, self.receive, self.send)
        except Exception as error:
            if not self._answered:
                raise
            # raised, it would make uvicorn hang up without a word, and the next request may be on its way on this connection
            _logger.exception("Exception in ASGI application", exc_info=error)
        finally:
            if self._reader is not None:
                self._reader.cancel()

    async def receive(self) -> Message:
        self._read_on()
        while not self._inbox and not self._left:
            await self._next_change()
        if not self._inbox:
            return {"type": "http.disconnect"}
        message = self._inbox.popleft()
        self._changed.set()
        return message

    async def send(self, message: Message) -> None:
        self._read_on()
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._answered = True
            await self._slot.aclose()

    def _read_on(self) -> None:
        """Not before the app reads or answers: a caller may wait for leave to send its body."""
        if self._reader is None:
            self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while (message := await self._receive())["type"] != "http.disconnect":
            self._inbox.append(message)
            self._changed.set()
            while len(self._inbox) > _AHEAD:
                await self._next_change()
        self._left = True
        self._changed.set()
        await asyncio.sleep(_GRACE_S)
        if not self._answered:
            self._running.cancel()

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


def _has_body(scope: Message) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


def _note_ids(scope: Message) -> None:
    """What is printed while a request is served carries its id; calls that its code makes are its call's."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            output.request_id.set(value.decode("latin-1"))
        elif name == b"x-freehold-call":
            context.enter_input(value.decode("latin-1"), 0)
