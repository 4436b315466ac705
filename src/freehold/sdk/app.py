"""App: a named set of functions and classes in one program, run while a `with app.run():` block lasts, or deployed."""

import inspect
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import CodeType
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, Self, TypeVar, Unpack, cast, dataclass_transform, overload

from freehold.core.errors import DeprecationError, InvalidError
from freehold.core.ids import is_id
from freehold.core.names import check_name
from freehold.core.specs import AppSpec, Concurrency
from freehold.sdk import checks
from freehold.sdk.bucket import CloudBucketMount
from freehold.sdk.cls import Cls, hooks, parameter
from freehold.sdk.context import is_local, is_planned, refuse_in_load, refuse_in_plan
from freehold.sdk.entrypoint import Entrypoint
from freehold.sdk.environment import work_in
from freehold.sdk.faces import blocking, both, both_static, opens
from freehold.sdk.function import Function
from freehold.sdk.image import Image, default_image
from freehold.sdk.marks import mark, marks, yields
from freehold.sdk.options import (
    SECRETS,
    ClsOptions,
    Declaration,
    FunctionOptions,
    ServerOptions,
    checked,
    mounted_files,
)
from freehold.sdk.reference import Reference
from freehold.sdk.resolve import Defaults, check_class, check_function, function_spec
from freehold.sdk.run import Run
from freehold.sdk.secret import Secret
from freehold.sdk.server import Server, Serving, check_server, server_options
from freehold.sdk.source import Bundles, Source, left_behind, locate, sources_of
from freehold.sdk.tracebacks import is_ours, warn
from freehold.sdk.volume import Volume

if TYPE_CHECKING:
    from freehold.protocol.schemas import AppHandle, AppView, FunctionHandle
    from freehold.sdk.logs import Logs
    from freehold.sdk.running import Mode, Progress
    from freehold.sdk.types import AppInfo

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class FunctionDecorator(Protocol):
    """`@app.function(...)`."""

    @overload
    def __call__(self, raw: Callable[P, Coroutine[Any, Any, R]], /) -> Function[P, R]: ...
    @overload
    def __call__(
        self, raw: Callable[P, Generator[R, Any, Any] | Iterator[R] | AsyncGenerator[R, Any] | AsyncIterator[R]], /
    ) -> Function[P, R]: ...
    @overload
    def __call__(self, raw: Callable[P, R], /) -> Function[P, R]: ...


class App:
    """`image`, `secrets` and `volumes` are given to all of its functions. Without a name it can be run, but not deployed."""

    def __init__(
        self,
        name: str | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        image: Image | None = None,
        secrets: Sequence[Secret] = (),
        volumes: Mapping[str | PurePosixPath, Volume | CloudBucketMount] | None = None,
        include_source: bool = True,
    ) -> None:
        self._name = _app_name(name)
        self.tags = _checked_tags(tags or {}, f"App({name!r})")
        where = f"App({name!r})"
        checks.one(image, Image, "image", where, fix="freehold.Image.debian_slim()")
        self._image, self._secrets = image, checks.many(secrets, Secret, "secrets", where, fix=SECRETS)
        self._volumes = checks.mounts(volumes or {}, (Volume, CloudBucketMount), where)
        self._include_source = include_source
        self._module = _declaring_module()
        self.registered_functions: dict[str, Function[..., Any]] = {}
        self.registered_classes: dict[str, Cls] = {}
        self.registered_servers: dict[str, Server] = {}
        self.registered_entrypoints: dict[str, Entrypoint[..., Any]] = {}
        self.handle: AppHandle | None = None  # while it runs
        self._last_id: str | None = None
        self._description: str | None = None
        self._main_of: tuple[AppHandle | None, str | None] = (None, None)
        self.handles: dict[str, FunctionHandle] = {}
        self._included: list[App] = []

    def __repr__(self) -> str:
        return f"App({self.name!r})"

    @property
    def name(self) -> str | None:
        return self._name

    @property
    def image(self) -> Image:
        """The image of functions that name none."""
        return self._image or default_image()

    @image.setter
    def image(self, image: Image) -> None:
        warn("app.image = ... is now App(image=...)", DeprecationError)
        checks.one(image, Image, "image", f"App({self._name!r})", fix="freehold.Image.debian_slim()")
        self._image = image

    def rename(self, name: str) -> None:
        """Give it another name, before it runs."""
        self._name = _app_name(name)

    @property
    def app_id(self) -> str | None:
        """Its id on the server, from its first run or deployment on."""
        return self.handle.id if self.handle else self._last_id

    @property
    def description(self) -> str:
        """The name, or the file it came from."""
        return self._description or self._name or self.program

    @description.setter
    def description(self, text: str) -> None:
        self._description = text

    @property
    def program(self) -> str:
        """The file, or the module, that declares it."""
        module = sys.modules.get(self._module)
        return str(getattr(module, "__file__", None) or self._module)

    @property
    def registered_web_endpoints(self) -> list[str]:
        """Names of its functions that serve HTTP."""
        functions = [name for name, one in self.registered_functions.items() if marks(one.raw).web]
        classes = self.registered_classes.items()
        return functions + [f"{n}.{m}" for n, c in classes for m, f in hooks(c.raw).methods.items() if marks(f).web]

    @property
    def main(self) -> str | None:
        """How instances import the script that is `__main__` here, if it goes along."""
        if self.handle is None:
            return self._main()
        if self.handle is not self._main_of[0]:  # asked for every input: worked out once a run
            self._main_of = (self.handle, self._main())
        return self._main_of[1]

    # ---- declaring

    def function(self, *misplaced: object, **options: Unpack[FunctionOptions]) -> FunctionDecorator:
        """Make a function of the program run in instances. The options are those of `FunctionOptions`."""
        _called("function", misplaced)

        def decorate(raw: Callable[..., Any]) -> Function[..., Any]:
            where = f"@app.function on {getattr(raw, '__qualname__', raw)!r}"
            given = checked(options, where)
            _concurrency(raw, given)
            check_function(raw, given, where)
            name = _name(given, raw, where)
            declaration = Declaration(raw=raw, name=name, kind="function", options=given)
            said = given.get("is_generator")
            made: Function[..., Any] = Function(
                Reference(name, app=self),
                raw=raw,
                generator=yields(raw) if said is None else said,
                declaration=declaration,
            )
            self._unique(name, raw)
            self.registered_functions[name] = made
            return made

        return cast(FunctionDecorator, decorate)

    @dataclass_transform(field_specifiers=(parameter,), kw_only_default=True)
    def cls(self, *misplaced: object, **options: Unpack[ClsOptions]) -> Callable[[T], T]:
        """Make a class of the program live in instances; to type checkers it stays the class that it is."""
        _called("cls", misplaced)

        def decorate(raw: T) -> T:
            where = f"@app.cls on {getattr(raw, '__qualname__', raw)!r}"
            given = checked(options, where, ClsOptions)
            _concurrency(raw, given)
            _context_hooks(raw, where)
            check_class(cast(type, raw), given, where)
            name = _name(given, raw, where)
            declaration = Declaration(raw=raw, name=name, kind="cls", options=given)
            self._unique(name, raw)
            made = Cls(Reference(name, app=self), raw=cast(type, raw), declaration=declaration)
            self.registered_classes[name] = made
            return cast(T, made)

        return decorate

    def server(
        self,
        *misplaced: object,
        port: int = 8000,
        target_concurrency: float | None = None,
        max_concurrency: int | None = None,
        startup_timeout: float = 30,
        exit_grace_period: float = 0,
        unauthenticated: bool = False,
        h2_enabled: bool = False,
        routing_region: str = "us-east",
        **options: Unpack[ServerOptions],
    ) -> Callable[[type], Server]:
        """Make a class of the program one that serves HTTP on `port`, which its `@enter` hook listens on.

        Requests find 503 until an instance is warm, and 429 where each has `max_concurrency` under way. Those with one `Modal-Session-Id`
        go to one instance while it lives. Callers show the token unless `unauthenticated`. `target_concurrency` is what the autoscaler aims at.
        """
        _called("server", misplaced)
        serving = Serving(
            name="server", port=port, target_concurrency=target_concurrency, max_concurrency=max_concurrency, h2_enabled=h2_enabled,
            startup_timeout=startup_timeout, exit_grace_period=exit_grace_period, unauthenticated=unauthenticated, routing_region=routing_region,
        )  # fmt: skip
        serving.check()

        def decorate(raw: type) -> Server:
            where = f"@app.server on {getattr(raw, '__qualname__', raw)!r}"
            given = checked(
                {**server_options({**options}, where), "startup_timeout": startup_timeout}, where, ClsOptions
            )
            check_server(raw, where)
            check_class(raw, given, where)
            serving.mark(raw)
            name = _name(given, raw, where)
            self._unique(name, raw)
            declaration = Declaration(raw=raw, name=name, kind="cls", options=given)
            made = Server(Reference(name, app=self), raw=raw, declaration=declaration)
            self.registered_servers[name] = made
            return made

        return decorate

    def _experimental_server(self, *misplaced: object, **options: Any) -> Callable[[type], Server]:
        """The older name of `server`, which had lists of regions."""
        warn("@app._experimental_server is now @app.server", DeprecationError)
        routing = options.pop("proxy_regions", None) or options.pop("routing_region", None) or "us-east"
        if (region := options.pop("region", None)) is not None:
            options["compute_region"] = region
        return self.server(*misplaced, routing_region=routing if isinstance(routing, str) else routing[0], **options)

    def local_entrypoint(
        self, *misplaced: object, name: str | None = None
    ) -> Callable[[Callable[P, R]], Entrypoint[P, R]]:
        """Make a function of the program one that `freehold run` starts here; its arguments become options."""
        _called("local_entrypoint", misplaced)

        def decorate(raw: Callable[P, R]) -> Entrypoint[P, R]:
            made = Entrypoint(raw, name or raw.__name__)
            if made.name in self.registered_entrypoints and is_local():
                msg = f"two local entrypoints of {self!r} are named {made.name!r}: give one of them name=…"
                raise InvalidError(msg)
            self.registered_entrypoints[made.name] = made
            return made

        return decorate

    def include(self, other_app: "App", *, inherit_tags: bool = True) -> Self:
        """Take in the functions and classes of another app, such as one from another file, and its tags."""
        if inherit_tags:
            self.tags = other_app.tags | self.tags
        for one in other_app._declared():
            self._unique(one.name, one.raw)
        self.registered_functions |= other_app.registered_functions
        self.registered_classes |= other_app.registered_classes
        self.registered_servers |= other_app.registered_servers
        self._included.append(other_app)
        return self

    # ---- on the server

    @staticmethod
    @both_static
    async def lookup(
        name: str, *, client: object = None, environment_name: str | None = None, create_if_missing: bool = False
    ) -> "App":
        """A deployed app by name, or any by its id; with `create_if_missing` an empty one is deployed where there is none."""
        work_in(environment_name, client)
        if is_id(name, "ap"):
            if create_if_missing:
                msg = f"App.lookup({name!r}, create_if_missing=True): that is an id, and only an app with a name can be created"
                raise InvalidError(msg)
        else:
            check_name(name, "an app")
        app = App(None if is_id(name, "ap") else name)
        if not is_planned():
            await blocking(app._look_up, name, create_if_missing)
        return app

    @both
    async def stop(self, *, client: object = None) -> None:
        """End its instances and what they run; it takes no calls any more."""
        del client  # one a process
        from freehold.sdk import client as clients
        from freehold.sdk import running

        await blocking(running.stop, clients.current().api, self._known_id("stop"))
        self._ended()

    @both
    async def set_tags(self, tags: Mapping[str, str], *, client: object = None) -> None:
        """Give it these tags instead of those it has; the next deployment sets those of the program again."""
        del client  # one a process
        from freehold.sdk import running

        app_id = self._known_id("set_tags")
        self.tags = _checked_tags(tags, "set_tags")
        await blocking(running.tag, app_id, self.tags)

    @both
    async def get_tags(self, *, client: object = None) -> dict[str, str]:
        """The tags that it has on the server."""
        del client  # one a process
        return (await blocking(self._view, "get_tags")).tags

    @both
    async def info(self, refresh: bool = False) -> "AppInfo":
        """What the server knows of it."""
        del refresh  # it is asked anew each time
        from freehold.sdk import facts

        return facts.app_info(await blocking(self._view, "info"))

    @both
    async def get_dashboard_url(self) -> str:
        """The address of its page."""
        from freehold.sdk import facts

        return await blocking(facts.page, f"/apps/{self._known_id('get_dashboard_url')}")

    @property
    def logs(self) -> "Logs":
        """What its instances have written."""
        from freehold.sdk.logs import Logs

        app_id = self._known_id("logs")
        return Logs(lambda: ({"app_id": app_id}, app_id))

    # ---- running

    @opens
    def run(
        self,
        *,
        name: str | None = None,
        detach: bool = False,
        interactive: bool = False,
        progress: "Progress | None" = None,
        environment_name: str | None = None,
        client: object = None,
        show_progress: bool | None = None,
    ) -> "Run":
        """`with app.run():` (or `async with`): its functions can be called until the block ends; with `detach` they outlive it.

        With `interactive` they may use this process's terminal, by `breakpoint()` and `freehold.interact()`.
        """
        del show_progress  # nothing is shown unasked
        work_in(environment_name, client)
        self._name = _app_name(name) or self._name
        return Run(self, detach=detach, progress=progress, interactive=interactive)

    @both
    async def deploy(
        self,
        *,
        name: str | None = None,
        tag: str | None = None,
        strategy: str = "rolling",
        progress: "Progress | None" = None,
        dry_run: bool = False,
        environment_name: str | None = None,
        client: object = None,
    ) -> Self:
        """Put it on the server under its name, to stay; a new version replaces the old one without a gap."""
        refuse_in_load("app.deploy()")
        work_in(environment_name, client)
        if strategy not in ("rolling", "recreate"):
            msg = f"strategy={strategy!r} is neither 'rolling' nor 'recreate'"
            raise InvalidError(msg)
        self._name = _app_name(name) or self._name
        if self._name is None:
            msg = f"the app of {self.description!r} has no name, so it cannot be deployed: write App('NAME'), or pass name="
            raise InvalidError(msg)
        if not is_planned():
            await blocking(self._create, "deploy", progress, tag=tag, strategy=strategy, dry_run=dry_run)
        return self

    def spec(self, bundles: Bundles) -> AppSpec:
        """What the server is told; tars of the files that go along are added to `bundles`."""
        sources = sources_of(self._modules())
        declared = [d.declaration for d in self._declared() if d.declaration is not None]
        self._warn_of_modules(declared)
        defaults = {app: app._defaults(sources) for app in self._all()}
        functions = tuple(function_spec(d, defaults[self._owner(d.name)], bundles) for d in declared)
        return AppSpec(name=self._name, functions=functions, tags=self.tags, description=self.description)

    # ---- how

    def _create(self, mode: "Mode", progress: "Progress | None", **more: Any) -> None:
        from freehold.sdk import client, output, running

        _alias_main()
        with Bundles() as bundles:
            spec = self.spec(bundles)
            self.handle = running.create(
                client.current(), spec, bundles, mode=mode, progress=progress or output.progress(), **more
            )
        self._last_id = self.handle.id
        client.current().detached = mode == "detached"
        for app in self._all():
            app.handles = dict(self.handle.functions)

    def _look_up(self, ref: str, create: bool) -> None:
        from freehold.sdk import running

        self.handle = running.create_if_missing(ref) if create else running.find(ref)
        self._last_id, self._name = self.handle.id, self.handle.name

    def _known_id(self, verb: str) -> str:
        refuse_in_plan(f"{self!r}.{verb} is called")
        if self.app_id is None:
            msg = f"{self!r}.{verb}: it has not been run or deployed yet; a deployed one is App.lookup({self._name or 'NAME'!r})"
            raise InvalidError(msg)
        return self.app_id

    def _view(self, verb: str) -> "AppView":
        from freehold.sdk import running

        return running.view(self._known_id(verb))

    def _ended(self) -> None:
        self.handle = None
        for app in self._all():
            app.handles = {}

    def _defaults(self, sources: list[Source]) -> Defaults:
        """What it gives to the functions that are declared with it."""
        return Defaults(
            image=self._image, secrets=self._secrets, volumes=self._volumes,
            include_source=self._include_source, sources=sources,
        )  # fmt: skip

    def _all(self) -> "list[App]":
        """Itself, and what it includes."""
        return [self, *(inner for app in self._included for inner in app._all())]

    def _owner(self, name: str) -> "App":
        """The app by whose decorator a function was declared."""
        app = next((a for a in self._included if any(d.name == name for d in a._declared())), None)
        return self if app is None else app._owner(name)

    def _declared(self) -> "list[Function[..., Any] | Cls | Server]":
        return [
            *self.registered_functions.values(),
            *self.registered_classes.values(),
            *self.registered_servers.values(),
        ]

    def _main(self) -> str | None:
        source = locate("__main__") if "__main__" in self._modules() else None
        return source.module if source else None

    def _modules(self) -> list[str]:
        own = (d.raw.__module__ for d in self._declared())
        return list(dict.fromkeys([*(a._module for a in self._all()), *own]))

    def _warn_of_modules(self, declared: list[Declaration]) -> None:
        images = [
            i for i in (*(a._image for a in self._all()), *(d.options.get("image") for d in declared)) if i is not None
        ]
        sources = sources_of(self._modules()) if self._include_source else []
        along = [
            *(f for s in sources for f in s.all_files),
            *(f for i in images for f in (*i.files, *i.copied)),
            *(f for d in declared for f in mounted_files(d.options)),
        ]
        for name in left_behind(sources, along):
            warn(
                f"{name!r} lies beside the program, which imports it, but does not go along, so instances cannot: "
                f"use image.add_local_python_source({name!r})"
            )

    def _unique(self, name: str, raw: Any) -> None:
        taken = next((one for one in self._declared() if one.name == name), None)
        if taken is None or not is_local():
            return
        if (taken.raw.__module__, taken.raw.__qualname__) != (raw.__module__, raw.__qualname__):
            where = f"{taken.raw.__module__}.{taken.raw.__qualname__} and {raw.__module__}.{raw.__qualname__}"
        elif lines := _lines(taken.raw, raw):
            where = f"on the lines {lines[0]} and {lines[1]} of {raw.__module__}"
        else:
            return
        msg = f"{self!r} has two functions named {name!r}, {where}; give one of them name=…"
        raise InvalidError(msg)


def _declaring_module() -> str:
    """The module whose code makes an app: the first that is not ours."""
    frame = sys._getframe(1)
    while frame.f_back is not None and is_ours(frame.f_code.co_filename):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", "__main__"))


def _called(name: str, misplaced: tuple[object, ...]) -> None:
    if misplaced:
        msg = f"@app.{name} wants parentheses: write @app.{name}()"
        raise InvalidError(msg)


def _name(given: FunctionOptions, raw: Any, where: str) -> str:
    name = given.get("name")
    try:
        if "." not in check_name(raw.__name__ if name is None else name, "a function"):
            return cast(str, name or raw.__name__)
        msg = f"{where}: name={name!r}: a dot stands between a class and its method; use '-' or '_'"
    except InvalidError as error:
        msg = f"{where}: {error}; pass name='NAME'"
    raise InvalidError(msg)


def _lines(one: Any, other: Any) -> tuple[int, int] | None:
    """Where two functions stand in one file; None in a notebook, in which the later one replaces the earlier."""
    first, second = (cast("CodeType | None", getattr(raw, "__code__", None)) for raw in (one, other))
    if (
        first is None
        or second is None
        or first.co_filename != second.co_filename
        or not Path(first.co_filename).is_file()
    ):
        return None
    lines = first.co_firstlineno, second.co_firstlineno
    return lines if lines[0] != lines[1] else None


def _app_name(name: str | None) -> str | None:
    return None if name is None else check_name(name, "an app")


def _checked_tags(tags: Mapping[str, str], where: str) -> dict[str, str]:
    for key, value in tags.items():
        if not isinstance(key, str) or not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            msg = f"{where}: the tag {key!r}: {value!r} is not a pair of texts"
            raise InvalidError(msg)
    return dict(tags)


def _concurrency(raw: Any, given: FunctionOptions) -> None:
    """The old spelling of @concurrent."""
    most = given.pop("allow_concurrent_inputs", None)
    if most is not None:
        warn(f"allow_concurrent_inputs={most!r} is now @modal.concurrent(max_inputs={most!r})", DeprecationError)
        mark(raw, concurrency=Concurrency(max_inputs=most))


def _context_hooks(raw: Any, where: str) -> None:
    """`__enter__` and `__exit__` as hooks, which they were before there were @enter and @exit."""
    if not isinstance(raw, type) or hooks(raw).enter or hooks(raw).snap:
        return
    for name in ("__enter__", "__aenter__"):
        if (enters := vars(raw).get(name)) is not None:
            warn(f"{where}: {name} is now a method under @modal.enter()", DeprecationError)
            mark(enters, hook="enter")
    for name in ("__exit__", "__aexit__"):
        if (leaves := vars(raw).get(name)) is not None:
            warn(f"{where}: {name} is now a method under @modal.exit()", DeprecationError)
            hook = _leaving(leaves)
            mark(hook, hook="exit")
            setattr(raw, hook.__name__, hook)


def _leaving(leaves: Callable[..., Any]) -> Callable[[Any], Any]:
    if inspect.iscoroutinefunction(leaves):

        async def leave_async(self: Any) -> None:
            await leaves(self, None, None, None)

        return leave_async

    def leave(self: Any) -> None:
        leaves(self, None, None, None)

    return leave


def _alias_main() -> None:
    """Let results that name our script's classes by their module find them in `__main__`, instead of loading it twice."""
    source = locate("__main__")
    if source is not None and source.module not in sys.modules:
        sys.modules[source.module] = sys.modules["__main__"]
