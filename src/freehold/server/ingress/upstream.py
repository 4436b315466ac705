"""A small HTTP/1.1 client for proxying: keep-alive pools by peer, bodies handed on as they come, backpressure both ways."""

import asyncio
from collections import defaultdict
from typing import Any, NamedTuple, Protocol

import httptools

from freehold.server.ingress.heads import ResponseHead
from freehold.server.inside import connect_inside

_IDLE_S = 4.0  # below the keep-alive of common servers (uvicorn: 5 s), so that they seldom hang up first
_IDLE_MAX = 64
_WRITE_HIGH_BYTES = 256 * 1024
_CONNECT_TIMEOUT_S = 5.0


class Listener(Protocol):
    """Whoever reads the answer. Called from within one read; `flush` comes at its end."""

    def interim(self, head: ResponseHead) -> None: ...
    def answer(self, head: ResponseHead) -> None: ...
    def answer_body(self, data: bytes) -> None: ...
    def answer_end(self, trailers: list[tuple[bytes, bytes]]) -> None: ...
    def switched(self, head: ResponseHead, rest: bytes) -> None: ...
    def raw(self, data: bytes) -> None: ...
    def flush(self) -> None: ...
    def lost(self, error: Exception | None) -> None: ...
    def upstream_congested(self, congested: bool) -> None: ...


class Peer(NamedTuple):
    """Who is at the other end: instances that follow each other may have the same address."""

    address: str  # `unix:PATH`, `tcp:HOST:PORT`, or `inside:PATH:PORT` by the porter of an instance
    instance: str = ""


class Upstream(asyncio.Protocol):
    """One connection to an instance or to the control API. Serves one request at a time."""

    def __init__(self, pool: "UpstreamPool", peer: Peer) -> None:
        self._pool, self.peer = pool, peer
        self._transport: asyncio.Transport = None  # type: ignore[assignment] (set before anyone has us)
        self._listener: Listener | None = None
        self._parser: Any = None
        self._head = ResponseHead(0, b"", [])
        self._trailers: list[tuple[bytes, bytes]] | None = None
        self._head_only = self._until_close = self._raw = self._done = False
        self.reused = False
        self.idle_since = 0.0
        self.congested = False

    # ---- for the one who sends a request

    def begin(self, listener: Listener, data: bytes, *, head_only: bool) -> None:
        """Send a request's head, and the body that is there; the answer goes to `listener`. `head_only`: a HEAD request."""
        self._listener, self._head_only = listener, head_only
        self._until_close = self._done = False
        self.write(data)

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def pause_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def finish(self, *, whole_request: bool) -> None:
        """The exchange is over: keep the connection for the next one where that is safe, else hang up."""
        listener, self._listener = self._listener, None
        # a server whose program failed may hang up after its answer without having said so
        usable = (
            self._done and whole_request and self._head.keep_alive and listener is not None and self._head.status < 500
        )
        if self._raw:
            self._transport.close()
        elif usable and not self._transport.is_closing():
            self._transport.resume_reading()
            self._pool.keep(self)
        else:
            self._transport.abort()

    def close(self) -> None:
        """Write out what was sent, then hang up."""
        self._listener = None
        self._transport.close()

    @property
    def closing(self) -> bool:
        return self._transport.is_closing()

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._transport.set_write_buffer_limits(high=_WRITE_HIGH_BYTES)
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        listener = self._listener
        if listener is None:  # nobody asked
            self._transport.abort()
            return
        if self._raw:
            listener.raw(data)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._raw = True
            listener.switched(self._head, data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._fail(error)
            return
        if self._done and self._head_only:
            # the parser waits for a body that does not come
            self._parser = httptools.HttpResponseParser(self)
        listener.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        listener, self._listener = self._listener, None
        self._pool.forget(self)
        if listener is None:
            return
        if self._until_close and exc is None and not self._done:
            self._done = True
            self._head.keep_alive = False
            listener.answer_end([])
            listener.flush()
        elif not self._done:
            listener.lost(exc)

    def pause_writing(self) -> None:
        self.congested = True
        if self._listener is not None:
            self._listener.upstream_congested(True)

    def resume_writing(self) -> None:
        self.congested = False
        if self._listener is not None:
            self._listener.upstream_congested(False)

    # ---- the parser's callbacks

    def on_message_begin(self) -> None:
        self._head = ResponseHead(0, b"", [])
        self._trailers = None

    def on_status(self, reason: bytes) -> None:
        self._head.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if self._trailers is not None:
            self._trailers.append((name, value))
            return
        if name == b"content-length":
            self._head.length = int(value)
        elif name == b"transfer-encoding":
            self._head.chunked = True
        self._head.headers.append((name, value))

    def on_headers_complete(self) -> None:
        head, listener = self._head, self._listener
        head.status = self._parser.get_status_code()
        head.keep_alive = self._parser.should_keep_alive()
        self._trailers = []
        if listener is None or self._done:
            return
        if head.status == 101:
            return
        if head.status < 200:
            listener.interim(head)
            return
        bodiless = self._head_only or head.status in (204, 304)
        self._until_close = not bodiless and not head.chunked and head.length is None
        listener.answer(head)
        if self._head_only:
            head.keep_alive = head.keep_alive or head.length is not None or head.chunked
            self._complete()

    def on_body(self, data: bytes) -> None:
        if self._listener is not None and not self._done:
            self._listener.answer_body(data)

    def on_message_complete(self) -> None:
        if self._head.status >= 200 and not self._done:
            self._complete()

    def _complete(self) -> None:
        self._done = True
        if self._listener is not None:
            self._listener.answer_end(self._trailers or [])

    def _fail(self, error: Exception) -> None:
        listener, self._listener = self._listener, None
        self._transport.abort()
        if listener is not None:
            listener.lost(error)


class UpstreamPool:
    """Connections by peer; the most recently used first."""

    def __init__(self) -> None:
        self._idle: defaultdict[Peer, list[Upstream]] = defaultdict(list)
        self._loop = asyncio.get_running_loop()

    def take(self, peer: Peer) -> Upstream | None:
        """An idle connection, if there is one that was used lately."""
        idle = self._idle.get(peer)
        now = self._loop.time()
        while idle:
            upstream = idle.pop()
            if not upstream.closing and now - upstream.idle_since < _IDLE_S:
                upstream.reused = True
                return upstream
            upstream.close()
        return None

    async def dial(self, peer: Peer) -> Upstream:
        """A new connection. Raises OSError, or TimeoutError after 5 s."""
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            kind, _, where = peer.address.partition(":")
            if kind == "inside":
                sock = await connect_inside(where)
                _, upstream = await self._loop.create_connection(lambda: Upstream(self, peer), sock=sock)
            elif kind == "unix":
                _, upstream = await self._loop.create_unix_connection(lambda: Upstream(self, peer), where)
            else:
                host, _, port = where.rpartition(":")
                _, upstream = await self._loop.create_connection(
                    lambda: Upstream(self, peer), host.strip("[]"), int(port)
                )
        return upstream

    def keep(self, upstream: Upstream) -> None:
        idle = self._idle[upstream.peer]
        if len(idle) >= _IDLE_MAX:
            upstream.close()
            return
        upstream.idle_since = self._loop.time()
        idle.append(upstream)

    def forget(self, upstream: Upstream) -> None:
        idle = self._idle.get(upstream.peer)
        if idle and upstream in idle:
            idle.remove(upstream)
        if not idle:
            self._idle.pop(upstream.peer, None)

    def sweep(self) -> None:
        """Hang up on connections that have been idle for long."""
        now = self._loop.time()
        for idle in list(self._idle.values()):
            for upstream in [u for u in idle if now - u.idle_since >= _IDLE_S]:
                upstream.close()

    def close(self) -> None:
        for idle in list(self._idle.values()):
            for upstream in list(idle):
                upstream.close()
        self._idle.clear()
