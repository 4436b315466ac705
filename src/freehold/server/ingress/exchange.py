"""One request and its answer: find an instance, send the request on as it comes, hand the answer back as it comes."""

import asyncio
import builtins
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

from freehold.core.errors import AuthError, Error, InternalError, InvalidError, NotFoundError, ServiceError
from freehold.core.errors import TimeoutError as DeadlineError
from freehold.core.ids import new_id
from freehold.protocol.errors import http_status
from freehold.server.ingress.contract import Credentials, IngressConfig, Lease, Outcome, RequestRecord, Route, Router
from freehold.server.ingress.heads import (
    BadRequestError,
    Forwarding,
    Headers,
    RequestHead,
    ResponseHead,
    request_id_of,
    response_head,
    upstream_head,
)
from freehold.server.ingress.upstream import Peer, Upstream, UpstreamPool

_logger = logging.getLogger(__name__)
_HELD_BYTES = 256 * 1024  # of a body, while there is no instance yet
_SESSION = (b"freehold-session-id", b"modal-session-id", b"modal-routing-affinity-key")  # keep a client at one instance
_TRIES = 3  # instances that cannot be reached, before the caller is told
_SAFE = frozenset({b"GET", b"HEAD", b"OPTIONS"})  # done again where an instance broke off: they change nothing
_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"})
_SWITCH = b"connection: upgrade\r\nupgrade: websocket\r\n"
CLIENT_GONE = 499


@dataclass(kw_only=True)
class Gate:
    """What all connections of one ingress share."""

    router: Router
    config: IngressConfig
    upstreams: UpstreamPool
    on_request: Callable[[RequestRecord], None]
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    draining: bool = False


class Caller(Protocol):
    """The connection that a request came over."""

    peer: str
    congested: bool

    def write(self, data: bytes) -> None: ...
    def hold(self, reason: str) -> None: ...
    def unhold(self, reason: str) -> None: ...
    def abort(self) -> None: ...
    def close(self) -> None: ...
    def tunnel(self) -> None: ...
    def over(self, exchange: "Exchange") -> None: ...


_ALIVE = b'{"status":"ok"}'


class UnreachableError(Exception):
    """No connection to the instance came about; nothing was sent."""


class BrokenError(Exception):
    """The connection to the instance broke before its answer was whole."""


class _StaleError(Exception):
    """A kept connection was closed by the other side just as we used it."""


class Exchange:
    """Fed by the caller's connection from one side and by an `Upstream` from the other."""

    def __init__(self, gate: Gate, caller: Caller, head: RequestHead, *, port: int | None) -> None:
        self.head = head
        self.keep_alive = head.keep_alive
        self.request_ended = False
        self.problem: Exception | None = None  # why it is refused unseen
        self._gate, self._caller, self._port = gate, caller, port
        self._id = request_id_of(head) or new_id("rq").encode()
        self._started = time.perf_counter()
        self._task: asyncio.Task[None] | None = None
        self._route: Route | None = None
        self._lease: Lease | None = None
        self._upstream: Upstream | None = None
        self._done: asyncio.Future[None] | None = None
        self._limit: asyncio.Timeout | None = None
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._body_sent = self._over = False
        self._out: list[bytes] = []
        self._status = 0
        self._error = ""
        self._chunk = self._ended = self._raw = False

    def start(self) -> None:
        self._task = self._gate.loop.create_task(self._run())

    @property
    def wants_raw(self) -> bool:
        """The caller's bytes are no HTTP any more."""
        return self.head.upgrade

    # ---- from the caller

    def body(self, data: bytes) -> None:
        if self._over:
            return
        self._send(b"%x\r\n%b\r\n" % (len(data), data) if self.head.chunked else data)

    def body_end(self, trailers: Headers) -> None:
        self.request_ended = True
        if self.head.chunked and not self._over:
            self._send(b"0\r\n" + b"".join(b"%b: %b\r\n" % t for t in trailers) + b"\r\n")
        self._count_down()

    def garbled(self) -> None:
        """The rest of the request cannot be read."""
        if self.problem is None:
            self.problem = BadRequestError("the request's body is not framed as HTTP/1.1 says")
            if self._task is not None:
                self._gate.loop.call_soon(self._task.cancel)  # not before its first step

    def raw_body(self, data: bytes) -> None:
        """Bytes of a tunnel."""
        self._send(data)

    def caller_gone(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def caller_congested(self, congested: bool) -> None:
        if self._upstream is not None:
            (self._upstream.pause_reading if congested else self._upstream.resume_reading)()

    def _send(self, data: bytes) -> None:
        if self._upstream is not None and (self._raw or not self.wants_raw):
            self._body_sent = True
            self._upstream.write(data)
            return
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        if self._unsent_bytes > _HELD_BYTES:
            self._caller.hold("unsent")

    # ---- the way there

    async def _run(self) -> None:
        try:
            await self._serve()
        except asyncio.CancelledError:
            if isinstance(self.problem, BadRequestError):
                self.keep_alive = False
                self._refuse(self.problem, self.problem.status, InvalidError.code)
            else:
                self._status = self._status or CLIENT_GONE
                self._caller.abort()
        except Error as error:
            self._refuse(error, http_status(error), error.code)
        except BadRequestError as error:
            self.keep_alive = False
            self._refuse(error, error.status, InvalidError.code)
        except BrokenError as error:
            self._refuse(ServiceError(str(error)), HTTPStatus.BAD_GATEWAY, ServiceError.code)
        except Exception:
            _logger.exception("a request failed in the ingress")
            error = InternalError("the ingress failed; its log has the cause")
            self._refuse(error, 500, error.code)
        finally:
            self._over = True
            self._caller.unhold("unsent")
            self._caller.unhold("upstream")
            self._record()
            self._caller.over(self)

    async def _serve(self) -> None:
        if self.problem is not None:
            raise self.problem
        self._route = self._find_route()
        if self._route is None and self.head.target == b"/livez" and not self.head.has_body:
            self._answer_alive()
        elif self._route is None:
            try:
                await self._forward(Peer(self._gate.config.api), user_code=False)
            except (UnreachableError, BrokenError) as error:
                msg = "the control API does not answer: the server is starting or stopping; `freehold status` tells"
                raise ServiceError(msg) from error
        else:
            self._check_credentials(self._route)
            await self._serve_endpoint(self._route)

    def _find_route(self) -> Route | None:
        """The endpoint that is meant; None: the control API."""
        router = self._gate.router
        if self._port is not None:
            route = router.endpoint(port=self._port)
            name = f"port {self._port}"
        else:
            host = self.head.host.rpartition(b":")[0] if b":" in self.head.host else self.head.host
            label, dot, domain = host.decode("latin-1").lower().partition(".")
            if not dot or domain != "localhost":
                return None
            route, name = router.endpoint(label=label), f"{label}.localhost"
        if route is None:
            msg = f"no web endpoint is deployed at {name}; `freehold app list` shows what is"
            raise NotFoundError(msg)
        return route

    def _check_credentials(self, route: Route) -> None:
        if not route.requires_auth:
            return
        head = self.head
        scheme, _, bearer = head.get(b"authorization").decode("latin-1").partition(" ")
        shown = Credentials(
            key=(head.get(b"freehold-key") or head.get(b"modal-key")).decode("latin-1"),
            secret=(head.get(b"freehold-secret") or head.get(b"modal-secret")).decode("latin-1"),
            bearer=bearer if scheme.lower() == "bearer" else "",
        )
        if not self._gate.router.authorise(route, shown):
            msg = f"{route.label!r} wants authentication: send Authorization: Bearer, or Modal-Key and Modal-Secret"
            raise AuthError(msg)

    async def _serve_endpoint(self, route: Route) -> None:
        router, broke = self._gate.router, False
        deadline = self._gate.loop.time() + self._gate.config.acquire_timeout_s
        session = next((s for name in _SESSION if (s := self.head.get(name))), b"")
        for _ in range(_TRIES):
            lease = await router.acquire(
                route, deadline=deadline, request_id=self._id.decode(), session=session.decode("latin-1")
            )
            self._lease, outcome = lease, "client_gone"
            try:
                await self._forward(Peer(lease.address, lease.instance), user_code=True)
                outcome = "ok"
                return
            except asyncio.CancelledError:
                if self._raw:  # either end may hang up on a WebSocket
                    outcome = "ok"
                raise
            except UnreachableError:
                outcome = "unreachable"
            except DeadlineError:
                outcome = "late"
                raise
            except BrokenError as error:
                outcome = "broken"
                if broke or self._status or self._body_sent or self.head.method not in _SAFE:
                    msg = (
                        f"instance {lease.instance} broke off before its answer was whole; "
                        f"`freehold instance logs {lease.instance}` has the cause"
                    )
                    raise BrokenError(msg) from error
                broke = True
            finally:
                router.release(lease, Outcome(kind=outcome, status=self._status, duration_s=self._elapsed()))
        msg = f"no instance of {route.label!r} could be reached; `freehold app logs` has the cause"
        raise ServiceError(msg)

    async def _forward(self, peer: Peer, *, user_code: bool) -> None:
        """One request over one connection; a second one where the first had gone stale and nothing is lost by it."""
        config, caller = self._gate.config, self._caller.peer
        forwarding = Forwarding(
            request_id=self._id,
            peer=caller.encode(),
            trusted=caller in config.trusted_proxies,
            call=self._lease.call_id.encode() if self._lease else b"",
            user_code=user_code,
            private_cookies=config.private_cookies,
        )
        data = upstream_head(self.head, forwarding)
        upstream = self._gate.upstreams.take(peer)
        if upstream is not None:
            try:
                await self._converse(upstream, data)
            except _StaleError:
                pass
            else:
                return
        try:
            upstream = await self._gate.upstreams.dial(peer)
        except OSError as error:
            msg = f"no connection to {peer.address}: {error.strerror or error}"
            raise UnreachableError(msg) from error
        await self._converse(upstream, data)

    async def _converse(self, upstream: Upstream, data: bytes) -> None:
        done = self._done = self._gate.loop.create_future()
        unsent = [] if self.wants_raw else self._unsent
        if unsent:
            self._body_sent, self._unsent, self._unsent_bytes = True, [], 0
            data += b"".join(unsent)
        self._upstream = upstream
        upstream.begin(self, data, head_only=self.head.method == b"HEAD")
        self._caller.unhold("unsent")
        if self._caller.congested:
            upstream.pause_reading()
        try:
            async with asyncio.timeout(None) as self._limit:
                self._count_down()
                await done
        except builtins.TimeoutError:
            limit = self._lease.timeout_s if self._lease else None
            msg = f"the answer did not begin within timeout={limit:g} s; raise the function's timeout, or answer as a stream"
            raise DeadlineError(msg) from None
        finally:
            self._upstream = self._limit = None
            upstream.finish(whole_request=self.request_ended)

    def _count_down(self) -> None:
        """From the request's end on, its answer must begin within the function's timeout; then it may take as long as it likes."""
        timeout_s = self._lease.timeout_s if self._lease else None
        if timeout_s is not None and self.request_ended and not self._status:
            self._reschedule(self._gate.loop.time() + timeout_s)

    def _reschedule(self, when: float | None) -> None:
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(when)

    # ---- from upstream

    def interim(self, head: ResponseHead) -> None:
        if self.head.version == "1.1":
            self._out.append(response_head(head, b"", b""))

    def answer(self, head: ResponseHead) -> None:
        self._status = head.status
        self._reschedule(None)
        bodiless = self.head.method == b"HEAD" or head.status in (204, 304)
        framing = b""
        if not bodiless and head.length is None:
            if self.head.version == "1.1":
                self._chunk, framing = True, b"transfer-encoding: chunked\r\n"
            else:
                self.keep_alive = False
        self._out.append(response_head(head, framing + self._connection(), self._id))

    def answer_body(self, data: bytes) -> None:
        if self._chunk:
            self._out += (b"%x\r\n" % len(data), data, b"\r\n")
        else:
            self._out.append(data)

    def answer_end(self, trailers: Headers) -> None:
        self._ended = True
        if self._chunk:
            self._out += (b"0\r\n", *(b"%b: %b\r\n" % t for t in trailers), b"\r\n")

    def flush(self) -> None:
        if self._out:
            out, self._out = self._out, []
            self._caller.write(out[0] if len(out) == 1 else b"".join(out))
        if self._ended:
            self._settle(None)

    def switched(self, head: ResponseHead, rest: bytes) -> None:
        if not self.wants_raw or self._upstream is None:
            self.lost(None)
            return
        self._raw, self.keep_alive, self._status = True, False, head.status
        self._reschedule(None)
        self._out += (response_head(head, _SWITCH, self._id), rest)
        unsent, self._unsent, self._unsent_bytes = self._unsent, [], 0
        for data in unsent:
            self._upstream.write(data)
        self._caller.unhold("unsent")
        self._caller.tunnel()

    def raw(self, data: bytes) -> None:
        self._caller.write(data)

    def lost(self, error: Exception | None) -> None:
        if self._raw:
            self._caller.close()
            self._settle(None)
            return
        stale = self._upstream is not None and self._upstream.reused and not self._body_sent
        if stale and not self._status and self.head.method in _IDEMPOTENT:
            self._settle(_StaleError())
        else:
            self._settle(BrokenError(str(error or "connection closed")))

    def upstream_congested(self, congested: bool) -> None:
        (self._caller.hold if congested else self._caller.unhold)("upstream")

    # ---- the end

    def _settle(self, error: Exception | None) -> None:
        done = self._done
        if done is None or done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def _connection(self) -> bytes:
        """The line that says whether the connection goes on, where it must be said."""
        if self.wants_raw:  # what follows a refused WebSocket is not read as HTTP
            self.keep_alive = False
        refused_early = self._status >= 400 and not self.request_ended  # the rest of the body will not be wanted
        if self._gate.draining or refused_early:
            self.keep_alive = False
        if not self.keep_alive:
            return b"connection: close\r\n"
        return b"connection: keep-alive\r\n" if self.head.version == "1.0" else b""

    def _answer_alive(self) -> None:
        """The one probe that depends on nothing, not even on the API, which comes up later."""
        self._status = 200
        headers: Headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_ALIVE))]
        data = response_head(ResponseHead(200, b"", headers), self._connection(), self._id)
        self._caller.write(data if self.head.method == b"HEAD" else data + _ALIVE)

    def _refuse(self, error: Exception, status: int, code: str) -> None:
        self._error = type(error).__name__
        if self._status:  # an answer has begun: only a broken connection tells the caller that it is not whole
            self._caller.abort()
            return
        self._status, kind = status, type(error).__name__ if isinstance(error, Error) else "InvalidError"
        fault = {"code": code, "message": str(error), "type": kind, "request_id": self._id.decode()}
        body = json.dumps({"error": fault}).encode()
        headers: Headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        if status in (429, 503):
            retry_after: float = getattr(error, "retry_after_s", None) or 1.0
            headers.append((b"retry-after", b"%d" % max(1, round(retry_after))))
        if status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        data = response_head(ResponseHead(status, b"", headers), self._connection(), self._id)
        self._caller.write(data if self.head.method == b"HEAD" else data + body)

    def _elapsed(self) -> float:
        return time.perf_counter() - self._started

    def _record(self) -> None:
        lease = self._lease
        if self._route is None and self.problem is None and not self._error:
            return  # the control API logs its own requests, by their route's template
        record = RequestRecord(
            method=self.head.method.decode("latin-1"),
            handler=self._route.label if self._route else "ingress",
            status=self._status,
            duration_ms=self._elapsed() * 1000,
            request_id=self._id.decode(),
            call=lease.call_id if lease else "",
            instance=lease.instance if lease else "",
            error=self._error,
        )
        self._gate.on_request(record)
