"""Requests whose callers leave, and how many run at once."""

import asyncio
import threading
import time
from typing import Any

import anyio.to_thread
import pytest

from freehold.runner.asgi import Asgi, Message
from freehold.runner.callers import Callers
from freehold.sdk import context


class Caller:
    """One end of an ASGI server's connection, as uvicorn behaves."""

    def __init__(self, app: Asgi, *parts: bytes, whole: bool = True) -> None:
        self.sent: list[Message] = []
        self.left = asyncio.Event()
        self.reads = 0
        self._parts, self._whole = list(parts), whole
        headers = [(b"transfer-encoding", b"chunked")] if parts or not whole else []
        self.task = asyncio.ensure_future(app({"type": "http", "headers": headers}, self._receive, self._send))
        if not parts and whole:
            self._parts = [b""]

    async def _receive(self) -> Message:
        self.reads += 1
        if self._parts and not self.left.is_set():
            part = self._parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(self._parts) or not self._whole}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.sent.append(message)

    async def leave(self) -> float:
        """Hang up; return how long the app went on."""
        began = time.monotonic()
        self.left.set()
        await asyncio.wait_for(self.task, 5)
        return time.monotonic() - began


async def answer(send: Any, body: bytes = b"", *, more: bool = False) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def test_an_app_that_waits_is_cancelled_when_its_caller_leaves() -> None:
    ended: list[str] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await answer(send, more=True)
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cancelled")

    caller = Caller(Callers(1).before(app))
    await asyncio.sleep(0.01)
    assert await caller.leave() < 0.9
    assert ended == ["cancelled"]


async def test_an_app_that_notices_ends_by_itself() -> None:
    seen: list[Message] = []

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        while not seen or seen[-1]["type"] != "http.disconnect":
            seen.append(await receive())
        await asyncio.sleep(0.05)
        seen.append({"type": "tidied up"})

    caller = Caller(Callers(1).before(app), b"a", b"b", b"c", b"d", b"e")
    await asyncio.sleep(0.01)
    await caller.leave()
    assert b"".join(m["body"] for m in seen[:5]) == b"abcde"
    assert [m["type"] for m in seen[5:]] == ["http.disconnect", "tidied up"]


async def test_what_runs_after_the_answer_goes_on_and_holds_nothing_up() -> None:
    ended: list[str] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await answer(send)
        await asyncio.sleep(0.5)
        ended.append("background")

    before = Callers(1).before(app)
    first, second = Caller(before), Caller(before)
    async with asyncio.timeout(0.4):
        while not second.sent:  # noqa: ASYNC110 (the app's own doing)
            await asyncio.sleep(0.005)
    await first.leave()
    await second.leave()
    assert ended == ["background", "background"]


async def test_an_app_that_fails_after_its_answer_does_not_make_the_server_hang_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Any, _receive: Any, send: Any) -> None:
        if scope["path"] == "/after":
            await answer(send)
        raise ValueError("mine")

    async def call(path: str) -> None:
        request: Message = {"type": "http.request", "body": b"", "more_body": False}
        await Callers(1).before(app)({"type": "http", "path": path, "headers": []}, _of(request), _of(None))

    await call("/after")
    assert [(r.name, r.message, str(r.exc_info and r.exc_info[1])) for r in caplog.records] == [
        ("uvicorn.error", "Exception in ASGI application", "mine")
    ]
    with pytest.raises(ValueError, match="mine"):
        await call("/before")


def _of(message: Any) -> Any:
    async def move(*_: Any) -> Any:
        return message

    return move


async def test_code_in_a_thread_keeps_its_slot_to_its_end() -> None:
    running, most, release = 0, 0, threading.Event()

    def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        release.wait(5)
        running -= 1

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await anyio.to_thread.run_sync(work)
        await answer(send)

    before = Callers(1).before(app)
    first = Caller(before)
    await asyncio.sleep(0.05)
    first.left.set()
    second, third = Caller(before), Caller(before)
    third.left.set()  # leaves while it waits
    await asyncio.sleep(0.4)
    release.set()
    async with asyncio.timeout(5):
        await asyncio.gather(first.task, third.task)
        while not second.sent:  # noqa: ASYNC110 (the app's own doing)
            await asyncio.sleep(0.005)
    assert most == 1
    assert not third.sent
    await second.leave()


async def test_nothing_is_read_before_the_app_wants_it() -> None:
    asked = asyncio.Event()

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await asked.wait()
        assert (await receive())["body"] == b"late"
        await answer(send)

    caller = Caller(Callers(1).before(app), b"late")
    await asyncio.sleep(0.02)
    assert caller.reads == 0
    asked.set()
    await asyncio.sleep(0.02)
    await caller.leave()


async def test_a_body_is_read_a_little_ahead_and_no_more() -> None:
    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        await receive()
        await asyncio.sleep(60)

    caller = Caller(Callers(1).before(app), *[b"x"] * 100)
    await asyncio.sleep(0.02)
    assert caller.reads < 6
    caller.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller.task


async def test_a_request_runs_as_its_call() -> None:
    seen: list[str | None] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        seen.append(context.current_input_id())
        await answer(send)

    async def ask(call: bytes) -> None:
        async def receive() -> Message:
            await asyncio.sleep(60)
            return {"type": "http.disconnect"}

        async def send(_: Message) -> None: ...

        await Callers(1).before(app)({"type": "http", "headers": [(b"x-freehold-call", call)]}, receive, send)

    await asyncio.gather(ask(b"fc-1"), ask(b"fc-2"))
    assert seen == ["fc-1:0", "fc-2:0"]
    assert context.current_input_id() is None
