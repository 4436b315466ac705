"""WSGI apps: what they see of a request, and what becomes of their answers."""

import asyncio
import io
import threading
from typing import Any

import pytest
from tests.unit.runner.test_callers import Caller

from freehold.runner.asgi import Message
from freehold.runner.callers import Callers
from freehold.runner.wsgi import Wsgi, environ


def scope(*headers: tuple[bytes, bytes], path: bytes = b"/", query: bytes = b"") -> Message:
    return {
        "type": "http", "method": "POST", "http_version": "1.1", "scheme": "http", "path": path.decode(), "raw_path": path,
        "query_string": query, "headers": list(headers), "client": ("1.2.3.4", 5),
    }  # fmt: skip


async def call(app: Any, *parts: bytes, left: bool = False) -> list[Message]:
    """What an app answers to a request with this body; `left`: its caller leaves before the body's end."""
    inbox: list[Message] = [{"type": "http.request", "body": p, "more_body": True} for p in parts]
    inbox.append({"type": "http.disconnect"} if left else {"type": "http.request", "body": b"", "more_body": False})
    sent: list[Message] = []

    async def receive() -> Message:
        return inbox.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await Wsgi(app, threads=2)(scope(), receive, send)
    return sent


def test_the_environ() -> None:
    given = scope(
        (b"host", b"here:81"), (b"cookie", b"a=1"), (b"cookie", b"b=2"), (b"x-many", b"1"), (b"x-many", b"2"),
        (b"x_forwarded_for", b"6.6.6.6"), (b"content-length", b"3"), (b"content-type", b"text/plain"),
        path="/caf\u00e9/%2f%E9".encode(), query=b"a=b",
    )  # fmt: skip
    seen = environ(given, io.BytesIO())
    assert seen["PATH_INFO"].encode("latin-1") == b"/caf\xc3\xa9//\xe9"
    assert (seen["SERVER_NAME"], seen["SERVER_PORT"], seen["REMOTE_ADDR"]) == ("here", "81", "1.2.3.4")
    assert (seen["HTTP_COOKIE"], seen["HTTP_X_MANY"]) == ("a=1; b=2", "1,2")
    assert (seen["CONTENT_LENGTH"], seen["CONTENT_TYPE"], seen["QUERY_STRING"]) == ("3", "text/plain", "a=b")
    assert "HTTP_X_FORWARDED_FOR" not in seen
    assert seen["wsgi.input_terminated"] is True


async def test_a_body_is_read_in_any_way() -> None:
    def app(env: Any, start: Any) -> list[bytes]:
        body = env["wsgi.input"]
        got = [body.readline(), body.readline(3), body.read(2), *body.readlines(), body.read()]
        start("201 Created", [("X-A", "b")])
        return [repr(got).encode()]

    head, answer, end = await call(app, b"on", b"e\ntwo", b"34\nfi", b"ve")
    assert (head["status"], head["headers"]) == (201, [(b"x-a", b"b")])
    assert answer["body"] == repr([b"one\n", b"two", b"34", b"\n", b"five", b""]).encode()
    assert (end["body"], end["more_body"]) == (b"", False)


async def test_a_body_that_broke_off_is_not_taken_for_a_whole_one() -> None:
    def app(env: Any, start: Any) -> list[bytes]:
        start("200 OK", [])
        return [env["wsgi.input"].read()]

    with pytest.raises(ConnectionError, match="left before its request was whole"):
        await call(app, b"half", left=True)


async def test_an_app_may_change_its_mind_until_it_answers() -> None:
    def app(_env: Any, start: Any) -> list[bytes]:
        start("200 OK", [])
        start("500 Oops", [], (ValueError, ValueError(), None))
        return [b"", b"sorry"]

    head, *_ = await call(app)
    assert head["status"] == 500


async def test_an_endless_answer_ends_when_its_caller_leaves() -> None:
    closed = threading.Event()

    class Endless:
        def __iter__(self) -> Any:
            while True:
                yield b"more"

        def close(self) -> None:
            closed.set()

    def app(_env: Any, start: Any) -> Endless:
        start("200 OK", [])
        return Endless()

    wsgi = Callers(1).before(Wsgi(app, threads=1))
    caller = Caller(lambda given, receive, send: wsgi({**scope(), **given}, receive, send))
    while not caller.sent:  # noqa: ASYNC110 (the thread's own doing)
        await asyncio.sleep(0.005)
    assert await caller.leave() < 0.9
    assert closed.is_set()
