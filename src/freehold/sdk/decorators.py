"""The decorators that stand below `@app.function` and `@app.cls`: hooks, methods, concurrency, batching and web faces."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, overload

from freehold.core.errors import DeprecationError, InvalidError
from freehold.core.names import check_label
from freehold.core.specs import Web
from freehold.sdk import checks
from freehold.sdk.marks import MAX_INPUTS, batching_of, concurrency_of, mark, yields
from freehold.sdk.tracebacks import warn

if TYPE_CHECKING:
    from freehold.sdk.function import Function

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class MethodDecorator(Protocol):
    """`@method()`: what a method of a Cls looks like to its callers."""

    @overload
    def __call__(self, raw: Callable[Concatenate[S, P], Coroutine[Any, Any, R]], /) -> "Function[P, R]": ...
    @overload
    def __call__(
        self,
        raw: Callable[
            Concatenate[S, P], Generator[R, Any, Any] | Iterator[R] | AsyncGenerator[R, Any] | AsyncIterator[R]
        ],
        /,
    ) -> "Function[P, R]": ...
    @overload
    def __call__(self, raw: Callable[Concatenate[S, P], R], /) -> "Function[P, R]": ...


def method(*misplaced: object, is_generator: bool | None = None) -> MethodDecorator:
    """Make a method of a class callable from elsewhere: `Obj().name.remote(...)`."""
    _called("method", misplaced)

    def decorate(raw: Callable[..., Any]) -> Any:
        _plain("method", raw)
        mark(raw, method=True, is_generator=is_generator)
        return raw

    return cast(MethodDecorator, decorate)


def enter(*misplaced: object, snap: bool = False, checkpoint: bool | None = None) -> Callable[[F], F]:
    """Run a method when an instance starts; with `snap=True` before the warm parent forks, so once for all instances."""
    _called("enter", misplaced)
    if checkpoint is not None:
        warn(f"@modal.enter(checkpoint={checkpoint!r}) is now @modal.enter(snap={checkpoint!r})", DeprecationError)
        snap = checkpoint
    checks.flag(snap, "snap", "@freehold.enter")
    return _marker("enter", hook="snap" if snap else "enter")


def exit(*misplaced: object) -> Callable[[F], F]:  # noqa: A001 (Modal's name)
    """Run a method before an instance ends."""
    _called("exit", misplaced)
    return _marker("exit", hook="exit")


def concurrent(*misplaced: object, max_inputs: int | None = None, target_inputs: int | None = None) -> Callable[[T], T]:
    """Let one instance run up to `max_inputs` inputs at once: async code as tasks of one loop, other code in threads."""
    _called("concurrent", misplaced)
    if max_inputs is None:
        max_inputs = 0 if target_inputs is None else MAX_INPUTS
    concurrency = concurrency_of(max_inputs, target_inputs)

    def decorate(target: T) -> T:
        _below("concurrent", target)
        mark(target, concurrency=concurrency)
        return target

    return decorate


def batched(*misplaced: object, max_batch_size: int, wait_ms: int) -> Callable[[F], F]:
    """Give the function lists of up to `max_batch_size` inputs, gathered for at most `wait_ms`; it returns a list as long."""
    _called("batched", misplaced)
    return _marker("batched", batching=batching_of(max_batch_size, wait_ms))


def fastapi_endpoint(
    *misplaced: object,
    method: str = "GET",
    label: str | None = None,
    custom_domains: object = None,
    docs: bool = False,
    requires_proxy_auth: bool = False,
) -> Callable[[F], F]:
    """Serve a function as one FastAPI route, on `/`."""
    _called("fastapi_endpoint", misplaced)
    _no_domains("fastapi_endpoint", custom_domains)
    verb = str(method).upper()
    if verb not in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"):
        msg = f"fastapi_endpoint(method={method!r}): give an HTTP method such as 'POST'"
        raise InvalidError(msg)
    web = Web(kind="fastapi_endpoint", method=verb, label=label, docs=docs, requires_proxy_auth=requires_proxy_auth)
    return _web("fastapi_endpoint", web)


def asgi_app(
    *misplaced: object, label: str | None = None, custom_domains: object = None, requires_proxy_auth: bool = False
) -> Callable[[F], F]:
    """Serve the ASGI app that a function without arguments returns."""
    _called("asgi_app", misplaced)
    _no_domains("asgi_app", custom_domains)
    return _web("asgi_app", Web(kind="asgi_app", label=label, requires_proxy_auth=requires_proxy_auth))


def wsgi_app(
    *misplaced: object, label: str | None = None, custom_domains: object = None, requires_proxy_auth: bool = False
) -> Callable[[F], F]:
    """Serve the WSGI app that a function without arguments returns."""
    _called("wsgi_app", misplaced)
    _no_domains("wsgi_app", custom_domains)
    return _web("wsgi_app", Web(kind="wsgi_app", label=label, requires_proxy_auth=requires_proxy_auth))


def web_server(
    port: int,
    *,
    startup_timeout: float = 5.0,
    label: str | None = None,
    custom_domains: object = None,
    requires_proxy_auth: bool = False,
) -> Callable[[F], F]:
    """Serve what listens on `port` of the instance once the function has returned."""
    checks.port(port, "web_server", example="@freehold.web_server(8000)")
    _no_domains("web_server", custom_domains)
    if not checks.is_amount(startup_timeout):
        msg = f"web_server(startup_timeout={startup_timeout!r}) is not a number of seconds above 0"
        raise InvalidError(msg)
    web = Web(
        kind="web_server",
        label=label,
        port=port,
        startup_timeout_s=startup_timeout,
        requires_proxy_auth=requires_proxy_auth,
    )
    return _web("web_server", web)


# ---- how


def _marker(name: str, **changes: Any) -> Callable[[F], F]:
    def decorate(raw: F) -> F:
        _plain(name, raw)
        mark(raw, **changes)
        return raw

    return decorate


def _web(name: str, web: Web) -> Callable[[F], F]:
    if web.label is not None:
        check_label(web.label)

    def decorate(raw: F) -> F:
        _plain(name, raw)
        if yields(raw) and web.kind != "fastapi_endpoint":
            msg = f"@{name} on {raw.__qualname__!r}: it must return an app, and a generator returns none"
            raise InvalidError(msg)
        mark(raw, web=web)
        return raw

    return decorate


def _called(name: str, misplaced: tuple[object, ...]) -> None:
    if misplaced:
        msg = f"@freehold.{name} wants parentheses: write @freehold.{name}(...)"
        raise InvalidError(msg)


def _plain(name: str, raw: object) -> None:
    _below(name, raw)
    if not callable(raw) or not hasattr(raw, "__qualname__") or isinstance(raw, type):
        msg = f"@freehold.{name} stands on a function, and {raw!r} is none"
        raise InvalidError(msg)


def _below(name: str, target: object) -> None:
    if hasattr(target, "freehold_decorated"):
        msg = f"@freehold.{name} must stand below @app.function or @app.cls: swap the two lines"
        raise InvalidError(msg)


def _no_domains(name: str, custom_domains: object) -> None:
    if custom_domains:
        warn(
            f"@{name}: custom_domains={custom_domains!r} has no effect here: let your own proxy send them to the endpoint's URL"
        )
