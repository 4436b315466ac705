"""A caller's connection: reads requests, keeps their order, holds reading back while the other side is slower."""

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import httptools

from freehold.core.errors import ServiceError
from freehold.server.ingress.exchange import Exchange, Gate
from freehold.server.ingress.heads import BadRequestError, Headers, RequestHead, check_request, check_size

_LINGER_S = 2.0  # how long a body that nobody wants is read, so that its sender gets to see the answer
_WRITE_HIGH_BYTES = 256 * 1024
_TCP_ESTABLISHED = 1
_FIELD_BYTES = 4  # colon, space and line end
_NO_HEAD = b"-"  # the method of what never had a whole head


class Front(asyncio.Protocol):
    """One accepted connection. `port` is an endpoint's own port, None on the main listener."""

    def __init__(self, gate: Gate, fronts: "set[Front]", *, port: int | None) -> None:
        self.peer = ""
        self.congested = False
        self._gate, self._fronts, self._port = gate, fronts, port
        self._transport: asyncio.Transport = None  # type: ignore[assignment] (set by connection_made)
        self._parser: Any = httptools.HttpRequestParser(self)
        self._queue: deque[Exchange] = deque()  # in the order of their requests; the first one is being served
        self._reading: Exchange | None = None  # whose body comes in
        self._tunnel: Exchange | None = None
        self._holds: set[str] = set()
        self._since = gate.loop.time()  # of the last request's end, or of this one's first byte
        self._in_head = self._silent = self._closing = self._deaf = False
        self._target, self._headers = b"", list[tuple[bytes, bytes]]()
        self._head_bytes = self._field_bytes = 0  # read since the last request; of its target and header fields
        self._trailers: Headers | None = None

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._transport.set_write_buffer_limits(high=_WRITE_HIGH_BYTES)
        peer: Any = transport.get_extra_info("peername")
        self.peer = str(peer[0]) if peer else "unix"
        if len(self._fronts) >= self._gate.config.max_connections:
            self._refuse(ServiceError("too many connections are open; try again later"))
        self._fronts.add(self)

    def data_received(self, data: bytes) -> None:
        if self._closing or self._deaf:
            return
        if self._tunnel is not None:
            self._tunnel.raw_body(data)
            return
        self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgraded(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._malformed()
            return
        try:
            check_size(self._head_bytes if self._in_head else 0)
        except BadRequestError as error:
            self._refuse(error)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._closing = True
        self._fronts.discard(self)
        for exchange in list(self._queue):
            exchange.caller_gone()

    def pause_writing(self) -> None:
        self.congested = True
        if self._queue:
            self._queue[0].caller_congested(True)

    def resume_writing(self) -> None:
        self.congested = False
        if self._queue:
            self._queue[0].caller_congested(False)

    # ---- the parser's callbacks

    def on_message_begin(self) -> None:
        if self._silent:
            return
        self._in_head = True
        self._since = self._gate.loop.time()
        self._target, self._headers, self._trailers, self._field_bytes = b"", [], None, 0

    def on_url(self, part: bytes) -> None:
        if not self._silent:
            self._target += part
            self._field_bytes += len(part)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._field_bytes += len(name) + len(value) + _FIELD_BYTES
        if self._trailers is not None:
            check_size(self._field_bytes)
            self._trailers.append((name.lower(), value))
        elif not self._silent:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._trailers = []
        head_bytes, self._field_bytes = self._field_bytes, 0
        if self._silent:
            self._silent = False
            return
        head = RequestHead(
            method=self._parser.get_method(),
            target=self._target,
            version=self._parser.get_http_version(),
            headers=self._headers,
            keep_alive=self._parser.should_keep_alive(),
            upgrade=self._parser.should_upgrade(),
        )
        exchange = self._reading = Exchange(self._gate, self, head, port=self._port)
        try:
            check_request(head, head_bytes)
        except BadRequestError as error:
            exchange.problem = error
        self._queue.append(exchange)
        if len(self._queue) == 1:
            exchange.start()

    def on_body(self, data: bytes) -> None:
        if self._reading is not None:
            self._reading.body(data)

    def on_message_complete(self) -> None:
        self._head_bytes = 0
        exchange = self._reading
        if exchange is None or (self._parser.should_upgrade() and exchange.head.has_body):
            return  # the parser stops at every upgrade; one that we do not take has its body still to come
        self._reading = None
        exchange.body_end(self._trailers or [])
        if len(self._queue) > 1:
            self.hold("pipeline")
        if exchange not in self._queue:
            self._after_linger()

    # ---- for the exchange

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def hold(self, reason: str) -> None:
        """Read nothing more until `unhold` of this reason."""
        if not self._holds and not self._transport.is_closing():
            self._transport.pause_reading()
        self._holds.add(reason)

    def unhold(self, reason: str) -> None:
        if reason in self._holds:
            self._holds.remove(reason)
            if not self._holds and not self._transport.is_closing():
                self._transport.resume_reading()

    def abort(self) -> None:
        self._closing = True
        self._transport.abort()

    def close(self) -> None:
        """Hang up once all is written."""
        self._closing = True
        self._transport.close()

    def tunnel(self) -> None:
        self._tunnel = self._queue[0]

    def over(self, exchange: Exchange) -> None:
        """The answer is written, or will never be: go on with the next request, or hang up."""
        if self._queue and self._queue[0] is exchange:
            self._queue.popleft()
        self._since = self._gate.loop.time()
        if self._closing:
            return
        if not exchange.keep_alive or self._gate.draining or not exchange.request_ended:
            self._hang_up(exchange)
            return
        if len(self._queue) <= 1:
            self.unhold("pipeline")
        if self._queue:
            self._queue[0].start()

    # ---- for the listener

    def sweep(self, now: float) -> None:
        """Called every second: end what has waited too long, and see callers leave whose bytes we do not read."""
        config = self._gate.config
        if self._holds and self._left():
            self._transport.abort()
        elif self._in_head and now - self._since > config.head_timeout_s:
            text = f"no whole request head came within {config.head_timeout_s:g} s"
            self._refuse(BadRequestError(text, HTTPStatus.REQUEST_TIMEOUT))
        elif not self._queue and not self._in_head and now - self._since > config.idle_timeout_s:
            self.close()

    @property
    def idle(self) -> bool:
        return not self._queue and not self._in_head

    # ---- ours

    def _hang_up(self, exchange: Exchange) -> None:
        for other in self._queue:
            other.caller_gone()
        self._queue.clear()
        if exchange.request_ended or self._transport.is_closing():
            self.close()
            return
        for reason in list(self._holds):
            self.unhold(reason)
        self._transport.write_eof()
        self._gate.loop.call_later(_LINGER_S, self._after_linger)

    def _after_linger(self) -> None:
        if not self._transport.is_closing():
            self.close()

    def _upgraded(self, rest: bytes) -> None:
        exchange = self._queue[-1]
        if exchange.wants_raw and exchange.problem is None:
            self._tunnel = exchange
            if rest:
                exchange.raw_body(rest)
            return
        self._parser = httptools.HttpRequestParser(self)
        if exchange.head.has_body:
            self._silent = True
            framing = (
                b"transfer-encoding: chunked"
                if exchange.head.chunked
                else b"content-length: %d" % (exchange.head.length or 0)
            )
            self._parser.feed_data(b"POST / HTTP/1.1\r\nhost: x\r\n" + framing + b"\r\n\r\n")
        if rest:
            self.data_received(rest)

    def _malformed(self) -> None:
        """What comes is no HTTP, so that nothing after it can be read; what came whole before is still answered."""
        if self._reading is None:
            self._refuse(BadRequestError("what was sent is not HTTP/1.1"))
        else:
            self._deaf = True
            self._reading.garbled()

    def _refuse(self, problem: Exception) -> None:
        """Answer what cannot be read as a request, after those that came before it, and hang up."""
        self._deaf, self._in_head = True, False
        head = RequestHead(_NO_HEAD, b"", "1.1", [], keep_alive=False, upgrade=False)
        exchange = Exchange(self._gate, self, head, port=self._port)
        exchange.problem, exchange.request_ended = problem, True
        self._queue.append(exchange)
        if len(self._queue) == 1:
            exchange.start()

    def _left(self) -> bool:
        """The caller hung up, though we have not read so far: the kernel knows."""
        sock: socket.socket | None = self._transport.get_extra_info("socket")
        if sock is None or sock.family == socket.AF_UNIX:
            return False
        with contextlib.suppress(OSError):
            return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _TCP_ESTABLISHED
        return True


def front_factory(gate: Gate, fronts: set[Front], *, port: int | None) -> Callable[[], Front]:
    return lambda: Front(gate, fronts, port=port)
