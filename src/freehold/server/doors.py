"""Web endpoints: which label and port belong to which function, and which instance takes the next request."""

import asyncio
import builtins
import contextlib
import hmac
import logging
import socket
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol
from weakref import WeakKeyDictionary

from freehold.core.clock import Clock
from freehold.core.errors import ConflictError, ResourceExhaustedError, ServiceError, TimeoutError
from freehold.core.ids import new_id
from freehold.core.states import CallState
from freehold.server.dispatch.fleet import Fleet
from freehold.server.dispatch.instance import Instance
from freehold.server.dispatch.pool import Pool
from freehold.server.dispatch.record import Record
from freehold.server.dispatch.registry import LiveFunction, Registry
from freehold.server.ingress.contract import Credentials, Lease, Outcome, Route
from freehold.server.pace import Pace
from freehold.server.store.rows import CallRow

log = logging.getLogger("freehold.doors")
MAX_WAITING = 1000  # web requests that wait for an instance of one pool; more get 429
MAX_RETRY_AFTER_S = 60.0
FAILED = 500
STOP_GRACE_S = 10.0
_PORT_TRIES = 2000


class Listener(Protocol):
    """The part of the ingress that opens and closes ports."""

    async def listen(self, port: int) -> int: ...

    async def unlisten(self, port: int) -> None: ...


@dataclass(eq=False, kw_only=True)
class _Open:
    """A request under way."""

    pool: Pool
    instance: Instance
    row: CallRow
    counted: bool = field(default=True)


class Doors:
    """The ingress' `Router`, and where the apps service opens and closes endpoints."""

    def __init__(
        self, *, registry: Registry, fleet: Fleet, record: Record, clock: Clock, host: str, token: str
    ) -> None:
        self.listener: Listener
        self.first_port = 0
        self._registry, self._fleet, self._record, self._clock = registry, fleet, record, clock
        self._host, self._token = host, token
        self._by_label: dict[str, tuple[Route, int]] = {}
        self._by_port: dict[int, str] = {}
        self._open: dict[str, _Open] = {}
        self._ended: dict[str, tuple[CallRow, str]] = {}  # till they are in the store
        self._paces: WeakKeyDictionary[Pool, Pace] = WeakKeyDictionary()

    # ---- for the apps service

    async def open(
        self, function: LiveFunction, method: str, label: str, port: int | None, *, avoid: Collection[int] = ()
    ) -> tuple[int, str]:
        """Listen for an endpoint, on the port it had before where that is free, else on none of `avoid`; return port and URL."""
        web = function.spec.endpoints()[method]
        route = Route(label=label, function_id=function.id, method=method, requires_auth=web.requires_proxy_auth)
        known = self._by_label.get(label)
        if known is None:
            port = await self._listen(port, {*avoid, *self._by_port})
        else:
            port = known[1]
        self._by_label[label] = (route, port)
        self._by_port[port] = label
        return port, f"http://{shown(self._host)}:{port}"

    async def close(self, label: str) -> None:
        known = self._by_label.pop(label, None)
        if known is not None:
            self._by_port.pop(known[1], None)
            await self.listener.unlisten(known[1])

    async def _listen(self, port: int | None, taken: set[int]) -> int:
        candidates = [port] if port else []
        candidates += [
            p for p in range(self.first_port + 1, self.first_port + _PORT_TRIES) if p not in taken and p < 65536
        ]
        for candidate in candidates:
            if candidate not in self._by_port and _free(self._host, candidate):
                with contextlib.suppress(ConflictError):  # somebody was quicker
                    return await self.listener.listen(candidate)
        raise ResourceExhaustedError(f"no free port for a web endpoint above {self.first_port}")

    def ports(self) -> list[int]:
        """Those of all endpoints."""
        return list(self._by_port)

    # ---- for the ingress

    def endpoint(self, *, port: int | None = None, label: str | None = None) -> Route | None:
        found = self._by_label.get(label if label is not None else self._by_port.get(port or 0, ""))
        return found[0] if found else None

    def authorise(self, route: Route, credentials: Credentials) -> bool:
        """Take the platform's token as a bearer token or as the proxy secret."""
        del route
        given = credentials.bearer or credentials.secret
        return hmac.compare_digest(given.encode(), self._token.encode())

    async def acquire(self, route: Route, *, deadline: float, request_id: str, session: str = "") -> Lease:
        del request_id
        function = self._registry.functions.get(route.function_id)
        if function is None:
            raise ServiceError(f"endpoint {route.label!r} has no running app; deploy it again")
        pool = self._fleet.pool(function, b"")
        if lacking := self._fleet.lacking(pool):
            raise ServiceError(f"endpoint {route.label!r} cannot be served: function {function.name!r}: {lacking}")
        created = self._clock.now()
        at_once = function.spec.endpoints()[route.method].kind == "server"
        instance = _take(route, pool, session) if at_once else await self._wait(route, pool, deadline)
        pool = instance.pool  # of a newer version, if one was deployed meanwhile
        address = instance.endpoints.get(route.method)
        if address is None:
            pool.release(instance)
            raise ServiceError(f"endpoint {route.label!r} is not served by its instance")
        name = f"{function.name}.{route.method}" if route.method else function.name
        call_id = new_id("fc")
        row = CallRow(
            call_id, pool.workspace, pool.app_id, pool.app_name, function.id, name, "web", CallState.RUNNING, created, self._clock.now(),
            version=pool.version,
        )  # fmt: skip
        self._open[call_id] = _Open(pool=pool, instance=instance, row=row)
        timeout_s = None if at_once else pool.spec.timeout_s  # a server's requests take what they take
        return Lease(address=address, call_id=call_id, instance=instance.id, timeout_s=timeout_s)

    async def _wait(self, route: Route, pool: Pool, deadline: float) -> Instance:
        self._refuse_crowd(route, pool)
        try:
            async with asyncio.timeout_at(deadline):
                return await pool.acquire()
        except builtins.TimeoutError:
            why = f" ({pool.blocked})" if pool.blocked else ""
            raise TimeoutError(f"no instance of endpoint {route.label!r} was ready in time{why}") from None

    def _refuse_crowd(self, route: Route, pool: Pool) -> None:
        """Refuse at once who would wait past the deadline before a pool that cannot grow, or is one too many."""
        pace, now, waiting = self._paces.setdefault(pool, Pace()), self._clock.monotonic(), len(pool.waiters)
        if not waiting:
            pace.begin(now)
            return
        most = pool.spec.scaling.max_instances
        grows = pool.blocked is None and (most is None or len(pool.live) < most)
        wait_s = 0.0 if grows else pace.wait_s(waiting + 1, now) or 0.0
        if waiting >= MAX_WAITING or wait_s > pool.spec.timeout_s:
            error = ResourceExhaustedError(
                f"{waiting} requests wait for endpoint {route.label!r} already; try again later, or raise max_containers"
            )
            error.retry_after_s = min(MAX_RETRY_AFTER_S, max(0.0, wait_s - pool.spec.timeout_s))
            raise error

    def release(self, lease: Lease, outcome: Outcome) -> None:
        request = self._open.pop(lease.call_id, None)
        if request is None:
            return
        request.pool.release(request.instance, max(0.0, self._clock.now() - (request.row.started or self._clock.now())))
        self._paces.setdefault(request.pool, Pace()).served()
        self._judge(request.instance, outcome)
        state, error = _verdict(outcome)
        row = request.row._replace(
            state=state,
            ended=self._clock.now(),
            error=error,
            succeeded=int(state is CallState.SUCCEEDED),
            failed=int(state is CallState.FAILED),
        )
        self._ended[row.id] = (row, request.instance.id)
        self._record.web_call(row, partial(self._ended.pop, row.id, None))

    def _judge(self, instance: Instance, outcome: Outcome) -> None:
        """Replace an instance that nothing listens in any more, or that is stuck in a request."""
        if outcome.kind == "unreachable":
            self._fleet.stop(instance, grace_s=STOP_GRACE_S, reason="its web server takes no connections any more")
        elif outcome.kind == "late":
            reason = f"a request ran past its timeout of {instance.pool.spec.timeout_s:g} s"
            if instance.load:
                self._fleet.stop(instance, grace_s=STOP_GRACE_S, reason=reason)
            else:
                self._fleet.kill(instance, reason=reason)

    def under_way(self) -> list[tuple[CallRow, str]]:
        """Requests that are being served, or are not written down yet, with their instances."""
        return [*((r.row, r.instance.id) for r in self._open.values()), *self._ended.values()]


def _take(route: Route, pool: Pool, session: str) -> Instance:
    """An instance of a server, now; who finds none is told to come again, and one more is started where there may be more."""
    instance = pool.take(session)
    if instance is not None:
        return instance
    pool.wish()
    if any(i.accepts for i in pool.instances.values()):
        error = ResourceExhaustedError(
            f"every instance of server {route.label!r} has as many requests as it takes; try again later, or raise max_concurrency or max_containers"
        )
        error.retry_after_s = 1.0
        raise error
    why = pool.blocked or (pool.last_failure and f"its last start failed: {pool.last_failure}")
    raise ServiceError(
        f"no instance of server {route.label!r} is warm yet; try again in a moment{f' ({why})' if why else ''}"
    )


def _verdict(outcome: Outcome) -> tuple[CallState, str | None]:
    if outcome.kind == "client_gone":
        return CallState.CANCELLED, "the client left"
    if outcome.kind == "late":
        return CallState.TIMED_OUT, "no answer began within its timeout"
    if outcome.kind != "ok":
        return CallState.FAILED, f"the instance's connection was {outcome.kind}"
    if outcome.status >= FAILED:
        return CallState.FAILED, f"HTTP {outcome.status}"
    return CallState.SUCCEEDED, None


def _free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def shown(host: str) -> str:
    """A bound address as it stands in URLs."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 (compared, not bound)
