"""Server: a class that serves HTTP on a port of its own, started by its `@enter` hooks. Its callers are HTTP's, so it has no `.remote`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from freehold.core.errors import InvalidError
from freehold.core.names import check_name
from freehold.core.specs import OPEN_REQUESTS, Concurrency, Web
from freehold.protocol import schemas
from freehold.sdk import checks
from freehold.sdk.autoscaler import Autoscaler, update
from freehold.sdk.cls import hooks, parameters
from freehold.sdk.faces import blocking, both
from freehold.sdk.marks import mark, marks
from freehold.sdk.options import Declaration, FunctionOptions, ServerOptions
from freehold.sdk.reference import Reference
from freehold.sdk.tracebacks import warn

if TYPE_CHECKING:
    from freehold.sdk.types import FunctionAutoscalerSettings


T = TypeVar("T")
_GRACE_MAX_S = {"server": 3600, "http_server": 25}


@dataclass(frozen=True, kw_only=True)
class Serving:
    """How a class serves HTTP; of `@app.server`, and of the older `@experimental.http_server`."""

    name: str  # of the decorator
    port: int
    startup_timeout: float
    exit_grace_period: float | None
    routing_region: object
    target_concurrency: float | None = None
    max_concurrency: int | None = None
    unauthenticated: bool = True
    h2_enabled: bool = False

    def check(self) -> None:
        """Raise InvalidError for what cannot be."""
        checks.port(self.port, self.name, example="port=8000")
        if not checks.is_amount(self.startup_timeout):
            msg = f"{self.name}(startup_timeout={self.startup_timeout!r}) is not a number of seconds above 0"
            raise InvalidError(msg)
        most, grace = _GRACE_MAX_S[self.name], self.exit_grace_period
        if grace is not None and grace != 0 and not (checks.is_amount(grace) and grace <= most):
            msg = f"{self.name}(exit_grace_period={grace!r}) is not a number of seconds between 0 and {most}"
            raise InvalidError(msg)
        if not self.routing_region:
            argument = "routing_region" if self.name == "server" else "proxy_regions"
            raise InvalidError(f"{self.name}({argument}={self.routing_region!r}) is empty: leave it out, or name one")
        self._check_concurrency()

    def _check_concurrency(self) -> None:
        target, most = self.target_concurrency, self.max_concurrency
        if target is not None and target != 0 and not checks.is_amount(target):
            raise InvalidError(f"{self.name}(target_concurrency={target!r}) is not a number of requests of at least 0")
        if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 0):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidError(f"{self.name}(max_concurrency={most!r}) is not a whole number of at least 0")
        if target and most and target > most:
            raise InvalidError(f"{self.name}: target_concurrency={target!r} is more than max_concurrency={most}")

    def mark(self, raw: type) -> None:
        """Leave it on the class, for `App` and the runner."""
        if self.h2_enabled:
            warn(f"@{self.name} on {raw.__name__!r}: h2_enabled= has no effect: HTTP/1.1 is spoken here")
        web = Web(
            kind="server",
            port=self.port,
            startup_timeout_s=float(self.startup_timeout),
            exit_grace_s=float(self.exit_grace_period or 0),
            requires_proxy_auth=not self.unauthenticated,
        )
        mark(raw, web=web)
        if marks(raw).concurrency is None:
            target = max(1.0, round(float(self.target_concurrency), 2)) if self.target_concurrency else None
            most = self.max_concurrency or OPEN_REQUESTS
            mark(raw, concurrency=Concurrency(max_inputs=most, target_inputs=target))


class Server:
    """Made by `@app.server`, or by `from_name`."""

    freehold_decorated = True

    def __init__(
        self, reference: Reference, *, raw: type | None = None, declaration: Declaration | None = None
    ) -> None:
        self._reference, self._raw, self.declaration = reference, raw, declaration
        if raw is not None:
            self.__doc__, self.__name__, self.__module__ = raw.__doc__, raw.__name__, raw.__module__
            self.__qualname__ = raw.__qualname__

    def __repr__(self) -> str:
        return f"Server({self.name!r})"

    @staticmethod
    def from_name(app_name: str, name: str, *, environment_name: str | None = None, client: object = None) -> "Server":
        """A deployed server; nothing is asked of the platform until it is used."""
        check_name(name, "a server")
        return Server(Reference.deployed(app_name, name, environment_name=environment_name, client=client))

    @property
    def name(self) -> str:
        return self._reference.name

    @property
    def raw(self) -> type:
        """The user's own class."""
        if self._raw is None:
            raise InvalidError(f"server {self.name!r} was found by name: its code is not here")
        return self._raw

    @property
    def object_id(self) -> str:
        """Its id on the platform."""
        return (self._reference.known() or self._reference.find()).id

    @both
    async def get_url(self) -> str | None:
        """Where it is reached."""
        handle = self._reference.known() or await blocking(self._reference.find)
        return handle.endpoints.get("")

    @both
    async def get_urls(self) -> list[str]:
        """Its one URL, as a list: older programs ask so."""
        handle = self._reference.known() or await blocking(self._reference.find)
        return [url for method, url in handle.endpoints.items() if not method]

    @property
    def autoscaler(self) -> Autoscaler:
        """How it scales."""
        return Autoscaler(lambda: schemas.PoolRef(function=self.object_id))

    @both
    async def update_autoscaler(
        self,
        *,
        target_concurrency: float | None = None,
        min_containers: int | None = None,
        max_containers: int | None = None,
        buffer_containers: int | None = None,
        scaleup_window: float | None = None,
        scaledown_window: float | None = None,
    ) -> "FunctionAutoscalerSettings":
        """Change how it scales, until its app is deployed again; None leaves what is."""
        for name, value in (("target_concurrency", target_concurrency), ("scaleup_window", scaleup_window)):
            if value is not None:
                warn(
                    f"{self.name}.update_autoscaler: {name}= has no effect; it is the decorator's, and changes with a deployment"
                )
        said = {
            "min_containers": min_containers, "max_containers": max_containers, "buffer_containers": buffer_containers,
            "scaledown_window": scaledown_window,
        }  # fmt: skip
        return await update(self.autoscaler, {name: value for name, value in said.items() if value is not None})

    @both
    async def hydrate(self, client: object = None) -> "Server":
        """Ask the platform now whether it is there; raises NotFoundError."""
        del client
        await blocking(self._reference.find)
        return self

    def __call__(self, *_: object, **__: object) -> Any:
        raise InvalidError(f"{self.name!r} is a server: send it HTTP requests, at {self.name}.get_url()")

    def __reduce__(self) -> tuple[object, ...]:
        return Server, (self._reference,)


def check_server(raw: Any, where: str) -> None:
    """What can be wrong with a server's class beyond what `check_class` sees."""
    if not isinstance(raw, type):
        msg = f"{where}: @app.server stands on a class, and {raw!r} is none; a function that starts a server is a @web_server"
        raise InvalidError(msg)
    own = hooks(raw)
    if parameters(raw):
        raise InvalidError(f"{where}: a server has no parameters: one URL cannot choose them; use env= or secrets=")
    if not own.enter and not own.snap:
        raise InvalidError(f"{where}: it lacks a method under @enter() that starts what listens on its port")
    if own.methods:
        msg = f"{where}: a server has no @method and no endpoint of its own, as {next(iter(own.methods))!r} is: its callers speak HTTP to its port"
        raise InvalidError(msg)


def http_server(
    port: int | None = None,
    *,
    proxy_regions: "list[str] | tuple[str, ...]" = (),
    startup_timeout: float = 30,
    exit_grace_period: float | None = None,
    h2_enabled: bool = False,
) -> Callable[[T], T]:
    """The older form of `@app.server`: below `@app.cls`, a class whose `@enter` hook serves HTTP on `port`; open to everyone."""
    if not isinstance(port, int):
        raise InvalidError("@http_server wants its port: write @http_server(8000, proxy_regions=['us-east'])")
    serving = Serving(
        name="http_server", port=port, startup_timeout=startup_timeout, exit_grace_period=exit_grace_period,
        routing_region=tuple(proxy_regions), h2_enabled=h2_enabled,
    )  # fmt: skip
    serving.check()

    def decorate(raw: T) -> T:
        if hasattr(raw, "freehold_decorated") or not isinstance(raw, type):
            raise InvalidError(f"@http_server stands on a class, below @app.cls: {raw!r} is none")
        serving.mark(raw)
        return raw

    return decorate


def server_options(given: dict[str, Any], where: str) -> FunctionOptions:
    """The options of `@app.server` as those of a class."""
    checks.known_options(given, ServerOptions.__annotations__, where)
    if given.pop("scaleup_window", None):
        warn(f"{where}: scaleup_window= has no effect: instances come as soon as they are wanted")
    if given.pop("compute_region", None):
        warn(f"{where}: compute_region= has no effect on a platform of your own")
    return FunctionOptions(**given)  # pyright: ignore[reportArgumentType]
