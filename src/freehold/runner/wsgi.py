"""WSGI apps behind an ASGI server: each request in a thread, its body read and its answer written as they come (PEP 3333)."""

import io
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import anyio
import anyio.from_thread
import anyio.to_thread

from freehold.runner.asgi import Message, Receive, Send

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
App = Callable[[Environ, StartResponse], Iterable[bytes]]
_BUFFER_BYTES = 64 * 1024


class Wsgi:
    """An ASGI app that runs a WSGI app, in at most `threads` threads."""

    def __init__(self, app: App, *, threads: int) -> None:
        self._app, self._threads = app, threads
        self._limiter: anyio.CapacityLimiter | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            self._limiter = self._limiter or anyio.CapacityLimiter(self._threads)
            answer = _Answer(self._app, scope, receive, send)
            await anyio.to_thread.run_sync(answer.run, limiter=self._limiter)


class _Answer:
    """One request; `run` is the thread's."""

    def __init__(self, app: App, scope: Message, receive: Receive, send: Send) -> None:
        self._app, self._scope, self._receive, self._send = app, scope, receive, send
        self._head: Message | None = None  # given, not sent yet
        self._begun = False

    def run(self) -> None:
        body = io.BufferedReader(_Body(self._receive), _BUFFER_BYTES)
        parts = self._app(environ(self._scope, body), self._start)
        try:
            for part in parts:
                if part:
                    self._write(part)
            self._write(b"", last=True)
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        if exc_info and self._begun:
            raise exc_info[1].with_traceback(exc_info[2])
        if self._head is not None and not exc_info:
            msg = "start_response was called twice without exc_info"
            raise AssertionError(msg)
        lines = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        self._head = {"type": "http.response.start", "status": int(status.partition(" ")[0]), "headers": lines}
        return self._write

    def _write(self, data: bytes, *, last: bool = False) -> None:
        """Send a part; returns when the caller can take more. Raises CancelledError when it left."""
        anyio.from_thread.check_cancelled()
        if not self._begun:
            if self._head is None:
                msg = "the app answered without calling start_response"
                raise AssertionError(msg)
            self._begun = True
            anyio.from_thread.run(self._send, self._head)
        anyio.from_thread.run(self._send, {"type": "http.response.body", "body": data, "more_body": not last})


class _Body(io.RawIOBase):
    """The request's body, as a file that the thread reads."""

    def __init__(self, receive: Receive) -> None:
        super().__init__()
        self._receive = receive
        self._rest = memoryview(b"")
        self._more = True

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any, /) -> int:
        """Fill `into` with what is there, waiting for something. Raises ConnectionError when the caller leaves before the end."""
        while not self._rest and self._more:
            message = anyio.from_thread.run(self._receive)
            if message["type"] == "http.disconnect":
                msg = "the caller left before its request was whole"
                raise ConnectionAbortedError(msg)
            self._rest, self._more = memoryview(message.get("body", b"")), message.get("more_body", False)
        target = memoryview(into)
        size = min(len(target), len(self._rest))
        target[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def environ(scope: Message, body: io.BufferedIOBase) -> Environ:
    """The request as PEP 3333 has it. Header names with `_` are dropped: they would pass for those with `-`."""
    headers = _headers(scope["headers"])
    root = scope.get("root_path", "")
    path = unquote_to_bytes(scope["raw_path"]).decode("latin-1").removeprefix(root)
    host, _, port = headers.get("HTTP_HOST", "localhost").rpartition(":")
    client = scope.get("client") or ("", 0)
    return {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": root,
        "PATH_INFO": path,
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": host if port.isdecimal() else headers.get("HTTP_HOST", "localhost"),
        "SERVER_PORT": port if port.isdecimal() else {"https": "443"}.get(scope["scheme"], "80"),
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": body,
        "wsgi.input_terminated": True,  # a chunked body ends by itself
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        **headers,
    }


def _headers(given: Iterable[tuple[bytes, bytes]]) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    for raw, value in given:
        if b"_" in raw:
            continue
        name = raw.decode("latin-1").upper().replace("-", "_")
        if name not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            name = f"HTTP_{name}"
        text = value.decode("latin-1")
        joint = "; " if name == "HTTP_COOKIE" else ","
        headers[name] = f"{headers[name]}{joint}{text}" if name in headers else text
    return headers


async def _live(receive: Receive, send: Send) -> None:
    for step in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{step}.complete"})
