"""Finds the user's function or class and makes it ready to be called: import, parameters, `@enter(snap=True)` hooks."""

import asyncio
import contextlib
import importlib
import inspect
import os
import pickle
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import MethodType
from typing import Any, Literal

from freehold.core.errors import NotFoundError
from freehold.core.specs import Batching, FunctionSpec, Web
from freehold.modal import alias
from freehold.protocol.control import Boot
from freehold.sdk import context
from freehold.sdk.cls import construct, decode_parameters, hooks
from freehold.sdk.marks import Marks, marks

Hook = Literal["snap", "enter", "exit"]
_UVICORN = (
    "uvicorn",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
    "uvicorn.lifespan.on",
    "freehold.runner.callers",
)
_SERVES: dict[str, tuple[str, ...]] = {
    "asgi_app": _UVICORN,
    "wsgi_app": (*_UVICORN, "freehold.runner.wsgi"),
    "fastapi_endpoint": (*_UVICORN, "fastapi", "fastapi.middleware.cors"),
    "web_server": (),
    "server": (),
}


class LoadError(Exception):
    """The user's code could not be loaded; `cause` is what it raised."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


@dataclass(frozen=True, kw_only=True)
class Target:
    """One thing that an input can name: the function itself (under ""), or a method bound to its object."""

    call: Callable[..., Any]
    is_async: bool  # a coroutine function, or an async generator function
    is_generator: bool
    batching: Batching | None = None
    web: Web | None = None


@dataclass(kw_only=True)
class UserCode:
    """The user's code, loaded."""

    spec: FunctionSpec
    targets: dict[str, Target]
    hooks: dict[Hook, list[Callable[..., Any]]] = field(default_factory=dict[Hook, list[Callable[..., Any]]])
    phases: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def is_async(self) -> bool:
        """Whether any of it wants an event loop that lives as long as the instance."""
        hooks = [h for name in ("enter", "exit") for h in self.hooks.get(name, [])]
        return any(t.is_async for t in self.targets.values()) or any(inspect.iscoroutinefunction(h) for h in hooks)


def load(boot: Boot) -> UserCode:
    """Import the user's module as `boot` says, and run what the warm parent runs. LoadError with what it raised."""
    began = time.perf_counter()
    try:
        prepare(boot.root)
        _warm_web(boot.spec)
        with context.loading():
            raw = find(boot.spec)
        imported = time.perf_counter()
        user = _user_code(boot.spec, raw, boot.parameters)
        _run_snap_hooks(user)
    except BaseException as error:  # a module may raise SystemExit too
        raise LoadError(error) from error
    user.phases["import"] = imported - began
    if user.hooks.get("snap"):
        user.phases["snap"] = time.perf_counter() - imported
    return user


def raw_of(decorated: Any) -> Any:
    """The user's own function or class behind what `@app.function` or `@app.cls` returned."""
    return getattr(decorated, "raw", decorated) if hasattr(decorated, "freehold_decorated") else decorated


# ---- how


def prepare(root: str) -> None:
    """Let the user's modules be found, and `modal` be Freehold."""
    alias.install()
    for path in (str(Path.cwd()), root):
        if path not in sys.path:
            sys.path.insert(0, path)
    known = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{root}{os.pathsep}{known}" if known else root  # for the user's own subprocesses


def find(spec: FunctionSpec) -> Any:
    if spec.serialized is not None:
        return raw_of(pickle.loads(spec.serialized))  # noqa: S301 (the user's own code, in the user's own instance)
    return find_by_name(spec.module, spec.qualname, check=True)


def find_by_name(name: str, qualname: str, *, check: bool = False) -> Any:
    """Import the user's module and return the function or class in it, without what decorators of ours made of it."""
    module = importlib.import_module(name)
    sys.modules["__main__"] = module  # what was pickled as __main__.X on the user's side is found here
    found: Any = module
    for part in qualname.split("."):
        found = getattr(found, part, None)
        if check:
            _check_imports(found)
        found = raw_of(found)
        if found is None:
            msg = f"module {name!r} has no {qualname!r}: define it at the module's top level, or use serialized=True"
            raise NotFoundError(msg)
    return found


def _check_imports(decorated: Any) -> None:
    """Raise what failed inside `image.imports()` of the function's own image, which was to satisfy it."""
    image = getattr(decorated, "own_image", None) if hasattr(decorated, "freehold_decorated") else None
    if image is not None and image.failed_imports:
        raise image.failed_imports[0]


def _warm_web(spec: FunctionSpec) -> None:
    """Import what serves its web endpoints, so that no instance has to."""
    kinds = {web.kind for web in spec.endpoints().values()}
    for name in {n for kind in kinds for n in _SERVES[kind]}:
        with contextlib.suppress(ImportError):  # a user's image may have removed it
            importlib.import_module(name)


def _user_code(spec: FunctionSpec, raw: Any, parameters: bytes) -> UserCode:
    if spec.kind == "function":
        return UserCode(spec=spec, targets={"": _target(raw, marks(raw), spec.batching, spec.web, spec.is_generator)})
    service = construct(raw, decode_parameters(parameters))
    own = hooks(raw)
    targets: dict[str, Target] = {}
    for method in spec.methods:
        function = own.methods.get(method.name)
        if function is None:
            msg = f"class {spec.qualname!r} has no method {method.name!r}: is it decorated with @freehold.method()?"
            raise NotFoundError(msg)
        targets[method.name] = _target(
            _bound(service, function), marks(function), method.batching, method.web, method.is_generator
        )
    if spec.web is not None:
        targets[""] = Target(call=_nothing, is_async=False, is_generator=False, web=spec.web)
    bound: dict[Hook, list[Callable[..., Any]]] = {
        "snap": [_bound(service, f) for f in own.snap],
        "enter": [_bound(service, f) for f in own.enter],
        "exit": [_bound(service, f) for f in own.exit],
    }
    return UserCode(spec=spec, targets=targets, hooks=bound)


def _target(
    call: Callable[..., Any], said: Marks, batching: Batching | None, web: Web | None, is_generator: bool
) -> Target:
    plain = inspect.unwrap(getattr(call, "__func__", call))
    own = inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call)
    is_async = own or inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain)
    return Target(
        call=call, is_async=is_async, is_generator=is_generator, batching=batching or said.batching, web=web or said.web
    )  # fmt: skip


def _nothing() -> None:
    """A server is started by its class's hooks."""


def _bound(service: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """The user's own function as a method of `service`, without what the SDK put in its place in the class."""
    return MethodType(function, service)


def _run_snap_hooks(user: UserCode) -> None:
    for hook in user.hooks.get("snap", []):
        made = hook()
        if inspect.isawaitable(made):
            asyncio.run(_wait_for(made))


async def _wait_for(made: Any) -> None:
    await made
