"""What the ingress asks of the server behind it, and what it tells. It holds no state of its own but open connections."""

from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, kw_only=True)
class Route:
    """A web endpoint, as the store knows it."""

    label: str  # its name in URLs and in the request log
    function_id: str
    method: str = ""  # of a Cls
    requires_auth: bool = False  # `requires_proxy_auth`


@dataclass(frozen=True, kw_only=True)
class Lease:
    """Leave to send one request to one instance. `address` is `unix:PATH`, `tcp:HOST:PORT` or `inside:PATH:PORT`."""

    address: str
    call_id: str
    instance: str
    timeout_s: float | None = None  # within which the answer must begin


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What a caller of an endpoint that wants authentication has shown."""

    key: str = ""
    secret: str = ""
    bearer: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a leased request ended.

    ok: answered, whatever the status. unreachable: no connection came about, nothing was sent; try another instance.
    broken: the connection broke before the answer was whole. late: no answer began within the lease's `timeout_s`.
    client_gone: the caller left first.
    """

    kind: Literal["ok", "unreachable", "broken", "late", "client_gone"]
    status: int = 0  # HTTP status; 0 when none was sent
    duration_s: float = 0.0


class Router(Protocol):
    """Finds instances for requests."""

    def endpoint(self, *, port: int | None = None, label: str | None = None) -> Route | None:
        """The endpoint that has this port of its own, or this label."""
        ...

    def authorise(self, route: Route, credentials: Credentials) -> bool:
        """Tell whether a caller may use an endpoint with `requires_auth`; compares in constant time."""
        ...

    async def acquire(self, route: Route, *, deadline: float, request_id: str, session: str = "") -> Lease:
        """Wait for an instance with room until `deadline` (the loop's clock), starting one where none is. Of a server, take one that is
        there, the one of the `session` if one is named, or raise at once.

        Raises ResourceExhaustedError when too many wait already, ServiceError when no instance can come,
        TimeoutError at the deadline. An error may carry `retry_after_s`. Cancelled when the caller leaves.
        """
        ...

    def release(self, lease: Lease, outcome: Outcome) -> None:
        """Give the lease back; called once for each acquire that returned."""
        ...


@dataclass(frozen=True, kw_only=True)
class RequestRecord:
    """One line of the request log."""

    method: str
    handler: str  # route template or endpoint label, never a raw path
    status: int  # 499: the caller left before an answer
    duration_ms: float
    request_id: str
    call: str = ""
    instance: str = ""
    error: str = ""  # class of core.errors that was answered


@dataclass(frozen=True, kw_only=True)
class IngressConfig:
    host: str
    port: int  # 0: any free one
    api: str  # address of the control API
    acquire_timeout_s: float = 300.0
    head_timeout_s: float = 30.0  # for a request's head to come in whole
    idle_timeout_s: float = 75.0  # for the next request on a kept connection
    max_connections: int = 10_000
    backlog: int = 1024
    trusted_proxies: frozenset[str] = frozenset()  # whose X-Forwarded-* are believed
    private_cookies: frozenset[str] = frozenset({"freehold_session"})  # never shown to user code
