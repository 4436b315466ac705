"""Declarations to specs: what the server is sent when an app runs or is deployed."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import MethodType
from typing import Any

from freehold.core.errors import InvalidError
from freehold.core.specs import FunctionSpec, ImageSpec, Method, SecretRef
from freehold.sdk.bucket import CloudBucketMount
from freehold.sdk.cls import hooks, parameters
from freehold.sdk.image import Image, default_image
from freehold.sdk.marks import Marks, marks, yields
from freehold.sdk.options import Declaration, FunctionOptions, mounted, mounted_files, resources, scaling
from freehold.sdk.retries import retries_spec
from freehold.sdk.secret import Secret
from freehold.sdk.source import Bundles, Files, Source, locate
from freehold.sdk.volume import Volume

_SERIALIZED_MAX = 16 * 1024 * 1024
_DEFAULT_TIMEOUT_S = 300.0


def check_function(raw: Callable[..., Any], options: FunctionOptions, where: str) -> None:
    """What can be wrong with a function, said where it is declared."""
    if not inspect.isfunction(raw):
        msg = f"{where}: @app.function stands on a function, and {raw!r} is none; for a class use @app.cls"
        raise InvalidError(msg)
    said, generator = marks(raw), options.get("is_generator")
    if said.method or said.hook:
        msg = f"{where}: @method, @enter and @exit belong in a class under @app.cls"
        raise InvalidError(msg)
    if not options.get("serialized"):
        _importable(raw, where)
    generates = yields(raw) if generator is None else generator
    _check_retries(said, options, where, generator=generates)
    _check_marks(raw, said, where, generator=generates)
    if options.get("schedule") is not None:
        _check_scheduled(raw, said, where, generator=generates)


def check_class(raw: type, options: FunctionOptions, where: str) -> None:
    """What can be wrong with a class, said where it is declared."""
    if not inspect.isclass(raw):
        msg = f"{where}: @app.cls stands on a class, and {raw!r} is none; for a function use @app.function"
        raise InvalidError(msg)
    if raw.__init__ is not object.__init__ and not hasattr(raw, "__dataclass_fields__"):
        msg = (
            f"{where}: a custom __init__ is not run in instances: declare parameters as `x: int = freehold.parameter()`, "
            "and move the work to a method under @freehold.enter()"
        )
        raise InvalidError(msg)
    if not options.get("serialized"):
        _importable(raw, where)
    parameters(raw)
    own = hooks(raw)
    for hook in (*own.snap, *own.enter, *own.exit):
        _takes_nothing(MethodType(hook, raw), f"{where}.{hook.__name__}", "a hook")
    methods = own.methods
    batched = [n for n, f in methods.items() if marks(f).batching]
    if batched and len(methods) > 1:
        msg = f"{where}: @batched method {batched[0]!r} must be the only method of its class, and there is {', '.join(m for m in methods if m != batched[0])} too"
        raise InvalidError(msg)
    cluster_size = marks(raw).cluster_size
    if cluster_size > 1 and marks(raw).web is None:
        _check_cluster(marks(raw), where, generator=False)
    for name, function in methods.items():
        if cluster_size > 1:
            _check_cluster(marks(function), f"{where}.{name}", generator=yields(function))
        _check_marks(function, marks(function), f"{where}.{name}", generator=yields(function))


def function_spec(one: Declaration, defaults: "Defaults", bundles: Bundles) -> FunctionSpec:
    """The spec of one function or class; tars of what it needs are added to `bundles`."""
    raw, options = one.raw, one.options
    said, where = marks(raw), one.name
    source = locate(raw.__module__)
    # what stands in no file, as in a notebook, goes along by value
    serialized = _serialize(raw, where) if options.get("serialized") or source is None else None
    image = options.get("image") or defaults.image or default_image()
    batching = said.batching
    files = [
        *image.files,
        *mounted_files(options),
        *(defaults.files if options.get("include_source", defaults.include_source) else ()),
    ]
    volumes, buckets = mounted({**defaults.volumes, **options.get("volumes", {})})
    startup = options.get("startup_timeout")
    return FunctionSpec(
        name=one.name,
        module=source.module if source else raw.__module__,
        qualname=raw.__qualname__,
        kind=one.kind,
        serialized=serialized,
        image=defaults.image_spec(image, bundles),
        mounts=bundles.mounts(files),
        resources=resources(options, where, ranks=said.cluster_size),
        timeout_s=float(options.get("timeout", _DEFAULT_TIMEOUT_S)),
        startup_timeout_s=None if startup is None else float(startup),
        retries=retries_spec(options.get("retries")),
        scaling=scaling(options, where, ranks=said.cluster_size),
        cluster_size=said.cluster_size,
        **({} if said.concurrency is None else {"concurrency": said.concurrency}),
        batching=batching,
        web=said.web,
        is_generator=one.kind == "function" and _generates(raw, options),
        schedule=schedule.spec if (schedule := options.get("schedule")) else None,
        methods=_methods(raw) if one.kind == "cls" else (),
        parameters=parameters(raw) if one.kind == "cls" else (),
        env={k: v for k, v in (options.get("env") or {}).items() if v is not None},
        secrets=_secrets([*defaults.secrets, *options.get("secrets", ())]),
        volumes=volumes,
        buckets=buckets,
        single_use=bool(options.get("single_use_containers")) or options.get("max_inputs") == 1,
        block_network=bool(options.get("block_network")),
        snapshot=one.kind == "cls" and bool(hooks(raw).snap),
        doc=_first_line(raw),
        json_schema=_schema(one),
    )


class Defaults:
    """What an app gives to all of its functions."""

    def __init__(
        self,
        *,
        image: Image | None,
        secrets: Iterable[Secret],
        volumes: Mapping[str, Volume | CloudBucketMount],
        include_source: bool,
        sources: Iterable[Source],
    ) -> None:
        self.image, self.secrets, self.volumes, self.include_source = (
            image,
            tuple(secrets),
            dict(volumes),
            include_source,
        )
        self.files: list[Files] = list({(f.local, f.remote): f for s in sources for f in s.all_files}.values())
        self._images: dict[int, ImageSpec] = {}

    def image_spec(self, image: Image, bundles: Bundles) -> ImageSpec:
        """Each image once, since copied files are read for it."""
        if id(image) not in self._images:
            self._images[id(image)] = image.spec(bundles)
        return self._images[id(image)]


def _methods(raw: type) -> tuple[Method, ...]:
    return tuple(
        Method(name=name, is_generator=yields(f), web=marks(f).web, batching=marks(f).batching)
        for name, f in hooks(raw).methods.items()
    )


def _generates(raw: Callable[..., Any], options: FunctionOptions) -> bool:
    said = options.get("is_generator")
    return (yields(raw) if said is None else said) and marks(raw).web is None


def _importable(raw: Any, where: str) -> None:
    if "<locals>" in raw.__qualname__:
        msg = (
            f"{where}: {raw.__qualname__!r} is defined inside a function, where an instance cannot import it: "
            "move it to the top of its file, or pass serialized=True"
        )
        raise InvalidError(msg)


def _check_retries(said: Marks, options: FunctionOptions, where: str, *, generator: bool) -> None:
    """Of a function; those of a class are for its methods that can be tried again."""
    retries = options.get("retries")
    if said.web and retries:
        msg = (
            f"{where}: retries={retries!r} on a web endpoint: a caller over HTTP tries again itself; leave retries out"
        )
        raise InvalidError(msg)
    if generator and retries:
        msg = (
            f"{where}: retries={retries!r} on a generator: what it has yielded cannot be taken back; leave retries out"
        )
        raise InvalidError(msg)


def _check_marks(raw: Callable[..., Any], said: Marks, where: str, *, generator: bool) -> None:
    if said.batching and generator:
        msg = f"{where}: @batched on a generator: a batch returns one list"
        raise InvalidError(msg)
    if said.cluster_size > 1:
        _check_cluster(said, where, generator=generator)
    if said.batching and said.web:
        msg = f"{where}: @batched cannot stand on a web endpoint: let the endpoint call a batched method with .remote"
        raise InvalidError(msg)
    if said.web and said.web.kind != "fastapi_endpoint":
        _takes_nothing(raw, where, f"a function under @{said.web.kind}")


def _check_scheduled(raw: Callable[..., Any], said: Marks, where: str, *, generator: bool) -> None:
    kind = "a web endpoint" if said.web else "a generator, whose items nobody would take" if generator else ""
    if kind:
        msg = f"{where}: schedule= on {kind}: put it on a function of its own that calls this one"
        raise InvalidError(msg)
    _takes_nothing(raw, where, "a function with a schedule")


def _check_cluster(said: Marks, where: str, *, generator: bool) -> None:
    what = "a generator" if generator else "@batched" if said.batching else "a web endpoint" if said.web else ""
    if not what and said.concurrency is not None and said.concurrency.max_inputs > 1:
        what = "@concurrent"
    if what:
        raise InvalidError(
            f"{where}: @clustered does not go with {what}: all ranks run one input at a time and give one result"
        )


def _takes_nothing(raw: Callable[..., Any], where: str, what: str) -> None:
    wanted = [
        p.name for p in inspect.signature(raw).parameters.values()
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != "self"
    ]  # fmt: skip
    if wanted:
        msg = f"{where}: {what} is called without arguments, and it wants {', '.join(wanted)}"
        raise InvalidError(msg)


def _serialize(raw: Any, where: str) -> bytes:
    from freehold.sdk.serialization import dump_code

    data = dump_code(raw)
    if len(data) > _SERIALIZED_MAX:
        msg = f"{where}: serialized=True makes {len(data) >> 20} MiB, and 16 MiB is the limit: load large objects inside the function"
        raise InvalidError(msg)
    return data


def _secrets(secrets: Iterable[Secret]) -> tuple[SecretRef, ...]:
    return tuple(s.spec for s in secrets)


def _first_line(raw: Any) -> str | None:
    doc = inspect.getdoc(raw) if raw.__doc__ else None
    return doc.splitlines()[0] if doc else None


def _schema(one: Declaration) -> dict[str, Any]:
    from freehold.sdk.schema import arguments_schema

    if one.kind == "function":
        return arguments_schema(one.raw)
    return {name: arguments_schema(f) for name, f in hooks(one.raw).methods.items()}
