"""Cls: a Function with state. A class's instances are made where they run; `Obj` stands for one here."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Unpack, cast

from freehold.core import specs
from freehold.core.errors import DeprecationError, InvalidError, NotFoundError
from freehold.core.names import check_name
from freehold.sdk.faces import blocking, both
from freehold.sdk.marks import marks, yields
from freehold.sdk.options import Declaration
from freehold.sdk.reference import Reference
from freehold.sdk.tracebacks import warn

if TYPE_CHECKING:
    from freehold.core.overrides import Overrides
    from freehold.protocol.schemas import FunctionHandle
    from freehold.sdk.function import Function
    from freehold.sdk.image import Image
    from freehold.sdk.types import FunctionAutoscalerSettings
    from freehold.sdk.variants import Overriding, Variant

_NO_DEFAULT: Any = object()
_TYPES: dict[object, Literal["str", "int", "bool", "bytes"]] = {
    str: "str", int: "int", bool: "bool", bytes: "bytes", "str": "str", "int": "int", "bool": "bool", "bytes": "bytes",
}  # fmt: skip
_PYTHON: dict[str, type] = {"str": str, "int": int, "bool": bool, "bytes": bytes}


@dataclass(frozen=True, kw_only=True)
class _Field:
    default: Any
    init: bool


def parameter(*, default: Any = _NO_DEFAULT, init: bool = True) -> Any:
    """A class attribute that is given when an object is made; its annotation is str, int, bool or bytes."""
    return _Field(default=default, init=init)


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What the runner needs of a user's class: plain functions that take the object, in the order they run."""

    snap: tuple[Callable[[Any], Any], ...]
    enter: tuple[Callable[[Any], Any], ...]
    exit: tuple[Callable[[Any], Any], ...]
    methods: dict[str, Callable[..., Any]]  # by name: those with @method or a web decorator


def hooks(cls: type) -> Hooks:
    """The hooks and methods of a class, its bases' first."""
    found = _members(cls)
    picked: dict[str, tuple[Callable[[Any], Any], ...]] = {
        hook: tuple(f for f in found.values() if marks(f).hook == hook) for hook in ("snap", "enter", "exit")
    }
    methods = {name: f for name, f in found.items() if marks(f).method or marks(f).web or marks(f).batching}
    return Hooks(snap=picked["snap"], enter=picked["enter"], exit=picked["exit"], methods=methods)


def parameters(cls: type) -> tuple[specs.Parameter, ...]:
    """The `parameter()`s of a class; InvalidError when one is of no type that can be one."""
    result: list[specs.Parameter] = []
    for name, (kind, field) in _fields(cls).items():
        if not field.init:
            continue
        if kind not in _TYPES:
            msg = f"{cls.__qualname__}.{name}: a parameter is annotated as str, int, bool or bytes, not as {kind!r}"
            raise InvalidError(msg)
        required = field.default is _NO_DEFAULT
        # bytes have no JSON form: the instance takes such a default from the class itself
        default = None if required or isinstance(field.default, bytes) else field.default
        if not required and not isinstance(field.default, (_PYTHON[_TYPES[kind]], type(None))):
            msg = f"{cls.__qualname__}.{name}: default={field.default!r} is not of type {_TYPES[kind]}"
            raise InvalidError(msg)
        result.append(specs.Parameter(name=name, type=_TYPES[kind], default=default, required=required))
    return tuple(result)


def construct(cls: type, values: dict[str, Any]) -> Any:
    """Make an object of a user's class with these parameters; hooks are not run."""
    made = cls()
    given = {p.name: p for p in parameters(cls)}
    for name in values:
        if name not in given:
            raise InvalidError(_no_such(cls.__qualname__, name, given))
    for name, (_, field) in _fields(cls).items():
        if name in values and name in given:
            setattr(made, name, values[name])
        elif field.default is not _NO_DEFAULT:
            setattr(made, name, field.default)
        elif name in given:
            msg = f"{cls.__qualname__}() lacks its parameter {name!r}"
            raise InvalidError(msg)
    return made


def encode_parameters(cls_name: str, given: dict[str, Any], known: tuple[specs.Parameter, ...]) -> bytes:
    """Canonical msgpack of [name, value] pairs by name; those equal to their default are left out, so equal objects are one pool."""
    given = _checked(cls_name, given, {p.name: p for p in known})
    if not given:
        return b""
    import msgspec

    return msgspec.msgpack.encode([[name, given[name]] for name in sorted(given)])


def decode_parameters(data: bytes) -> dict[str, Any]:
    """What `encode_parameters` wrote."""
    if not data:
        return {}
    import msgspec

    return dict(msgspec.msgpack.decode(data, type=list[tuple[str, Any]]))


class Cls:
    """What `@app.cls` makes of a class; calling it gives an `Obj`."""

    freehold_decorated = True

    def __init__(
        self, reference: Reference, *, raw: type | None = None, declaration: Declaration | None = None
    ) -> None:
        self._reference, self._raw, self.declaration = reference, raw, declaration
        self._variant: Variant | None = None
        self._parameters = parameters(raw) if raw is not None else None
        self._methods = hooks(raw).methods if raw is not None else None
        if raw is not None:
            self.__doc__, self.__name__, self.__module__ = raw.__doc__, raw.__name__, raw.__module__
            self.__qualname__ = raw.__qualname__
            for name, function in (self._methods or {}).items():
                setattr(raw, name, _Bound(self, name, function))

    def __repr__(self) -> str:
        return f"Cls({self.name!r})"

    @property
    def own_image(self) -> "Image | None":
        """The image that it was declared with, or its app's; None: the default one."""
        return self._reference.image(self.declaration)

    @staticmethod
    def from_name(
        app_name: str,
        name: str,
        *,
        version: int | None = None,
        environment_name: str | None = None,
        client: object = None,
    ) -> "Cls":
        """A deployed class; nothing is asked of the server until it is used.

        `version`: that of the app, as `app history` lists them; NotFoundError when another one runs.
        """
        check_name(name, "a class")
        found = Reference.deployed(app_name, name, version=version, environment_name=environment_name, client=client)
        return Cls(found)

    @staticmethod
    def lookup(app_name: str, name: str, *, environment_name: str | None = None, **_: object) -> "Cls":
        """What is now `from_name`; asks the server at once."""
        warn("modal.Cls.lookup(...) is now modal.Cls.from_name(...)", DeprecationError)
        return Cls.from_name(app_name, name, environment_name=environment_name).hydrate()

    @both
    async def hydrate(self, client: object = None) -> "Cls":
        """Ask the server now whether it is there; raises NotFoundError."""
        del client  # one a process
        await blocking(self._handle)
        return self

    @property
    def object_id(self) -> str:
        """The class's id on the server."""
        return self._handle().id

    @both
    async def get_dashboard_url(self) -> str:
        return await self.service({}).page()

    @property
    def name(self) -> str:
        return self._reference.name

    @property
    def is_here(self) -> bool:
        """Whether its code is."""
        return self._raw is not None

    @property
    def raw(self) -> type:
        """The user's own class."""
        if self._raw is None:
            msg = f"class {self.name!r} was found by name: its code is not here"
            raise InvalidError(msg)
        return self._raw

    def __call__(self, *args: Any, **values: Any) -> "Obj":
        """An object with these parameters; nothing runs until one of its methods is called."""
        if args:
            msg = f"{self.name}{args!r}: parameters are given by name, such as {self.name}(x=1)"
            raise InvalidError(msg)
        return Obj(self, values)

    def function(self, method: str, values: dict[str, Any]) -> "Function[..., Any]":
        """One method of the object with these parameters."""
        from freehold.sdk.function import Function

        encoded = encode_parameters(self.name, values, self._known_parameters())
        raw = (self._methods or {}).get(method)
        generator = None if raw is None else yields(raw)
        return Function(
            self._reference, raw=raw, method=method, parameters=encoded, generator=generator, variant=self._variant
        )

    def service(self, values: dict[str, Any]) -> "Function[..., Any]":
        """The object with these parameters, as a whole."""
        from freehold.sdk.function import Function

        encoded = encode_parameters(self.name, values, self._known_parameters())
        return Function(self._reference, parameters=encoded, variant=self._variant)

    # ---- overriding it

    def with_options(self, **options: "Unpack[Overriding]") -> "Cls":
        """The same class with other resources, limits, secrets or volumes, in instances of its own."""
        from freehold.sdk import variants

        return self._varied(variants.options(options, f"{self.name}.with_options"))

    def with_concurrency(self, *, max_inputs: int, target_inputs: int | None = None) -> "Cls":
        """The same class as under `@concurrent`, in instances of its own."""
        from freehold.sdk import variants

        return self._varied(variants.concurrency(max_inputs, target_inputs))

    def with_batching(self, *, max_batch_size: int, wait_ms: int) -> "Cls":
        """The same class, its one method as under `@batched`, in instances of its own."""
        from freehold.sdk import variants

        return self._varied(variants.batching(max_batch_size, wait_ms))

    def _varied(self, more: "Overrides") -> "Cls":
        from freehold.sdk import variants

        return _with_variant(self, variants.varied(self._variant, more))

    # ---- what the server knows of it

    @both
    async def _experimental_get_flash_urls(self) -> list[str]:
        """Where a class under `@http_server` is reached; the name that programs of that time use."""
        handle = self._reference.known() or await blocking(self._reference.find)
        return [url for method, url in handle.endpoints.items() if not method]

    def has_method(self, name: str) -> bool:
        if self._methods is not None:
            return name in self._methods
        return name in self._handle().methods

    def _handle(self) -> "FunctionHandle":
        """What the server knows of it; NotFoundError when that is a function."""
        handle = self._reference.known() or self._reference.find()
        if not handle.methods:
            msg = f"{self.name!r} is a function: use Function.from_name({self._reference.app_name!r}, {self.name!r})"
            raise NotFoundError(msg)
        return handle

    def _known_parameters(self) -> tuple[specs.Parameter, ...]:
        return self._handle().parameters if self._parameters is None else self._parameters

    def lacks(self, name: str) -> NotFoundError:
        """The error of an attribute that a class found by name has not."""
        methods = ", ".join(self._handle().methods)
        return NotFoundError(f"class {self.name!r} has no method {name!r}: it has {methods}, and its code is not here")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or self.__dict__.get("_raw") is None:
            raise AttributeError(name)
        if self.has_method(name):
            msg = f"{self.name}.{name} needs an object: write {self.name}().{name}"
            raise InvalidError(msg)
        return getattr(self._raw, name)

    def __reduce__(self) -> tuple[object, ...]:
        from freehold.sdk.function import portable

        return _restore, (self._reference, portable(self._variant, self._reference))


def _restore(reference: Reference, variant: "Variant | None") -> Cls:
    return _with_variant(Cls(reference), variant)


def _with_variant(cls: Cls, variant: "Variant | None") -> Cls:
    made = Cls.__new__(Cls)  # its methods stand in the user's class already
    made.__dict__ |= cls.__dict__ | {"_variant": variant}
    return made


class Obj:
    """Stands for an object of a Cls: its methods have `remote`, `spawn`, `map` and `local`; other attributes are of a local object."""

    def __init__(self, cls: Cls, values: dict[str, Any]) -> None:
        self._cls, self._values = cls, values
        self._functions: dict[str, Function[..., Any]] = {}
        self._local: Any = None
        if cls.declaration is not None:
            encode_parameters(cls.name, values, parameters(cls.raw))

    def __repr__(self) -> str:
        return f"{self._cls.name}({', '.join(f'{k}={v!r}' for k, v in self._values.items())})"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in self._functions:
            return self._functions[name]
        if not self._cls.has_method(name):
            if not self._cls.is_here:
                raise self._cls.lacks(name)
            return getattr(self._local_object(), name)
        function = self._cls.function(name, self._values)
        if self._cls.declaration is not None:
            function = _LocalMethod(function, lambda: getattr(self._local_object(), name))
        self._functions[name] = cast("Function[..., Any]", function)
        return function

    @both
    async def update_autoscaler(
        self,
        *,
        min_containers: int | None = None,
        max_containers: int | None = None,
        scaledown_window: float | None = None,
        buffer_containers: int | None = None,
    ) -> "FunctionAutoscalerSettings":
        """Change how the instances of this object scale, until its app is deployed again; None leaves what is."""
        return await self._cls.service(self._values).scaled(
            min_containers=min_containers, max_containers=max_containers, scaledown_window=scaledown_window,
            buffer_containers=buffer_containers,
        )  # fmt: skip

    @both
    async def keep_warm(self, warm_pool_size: int) -> None:
        """What is now `update_autoscaler(min_containers=…)`."""
        warn(
            f"keep_warm({warm_pool_size!r}) is now update_autoscaler(min_containers={warm_pool_size!r})",
            DeprecationError,
        )
        await self._cls.service(self._values).scaled(min_containers=warm_pool_size)

    def _local_object(self) -> Any:
        """An object in this process, its `@enter` hooks run once."""
        if self._local is None:
            raw = self._cls.raw
            made = construct(raw, self._values)
            for hook in (*hooks(raw).snap, *hooks(raw).enter):
                _run_here(hook, made)
            self._local = made
        return self._local

    def __reduce__(self) -> tuple[object, ...]:
        return Obj, (self._cls, self._values)


class _LocalMethod:
    """A method's Function, whose `local` runs on an object of this process."""

    freehold_decorated = True

    def __init__(self, function: "Function[..., Any]", bound: Callable[[], Callable[..., Any]]) -> None:
        self._function, self._bound = function, bound

    def local(self, *args: Any, **kwargs: Any) -> Any:
        return self._bound()(*args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._function, name)

    def __reduce__(self) -> tuple[object, ...]:
        return self._function.__reduce__()


class _Bound:
    """What stands in the user's class for a method: on an object it runs here, and has `remote` and the rest beside."""

    freehold_decorated = True

    def __init__(self, cls: Cls, name: str, raw: Callable[..., Any]) -> None:
        self._cls, self._name, self.raw = cls, name, raw
        self.__doc__, self.__name__ = raw.__doc__, name
        self.__wrapped__ = raw

    def __get__(self, made: Any, owner: type) -> Any:
        return self if made is None else _SelfMethod(self._cls, self._name, self.raw, made)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.raw(*args, **kwargs)


class _SelfMethod:
    """`self.method` inside the user's class."""

    def __init__(self, cls: Cls, name: str, raw: Callable[..., Any], made: Any) -> None:
        self._cls, self._name, self._raw, self.__self__ = cls, name, raw, made

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._raw(self.__self__, *args, **kwargs)

    local = __call__

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        values = {p.name: getattr(self.__self__, p.name) for p in parameters(self.__self__.__class__)}
        return getattr(self._cls.function(self._name, values), name)


def _members(cls: type) -> dict[str, Callable[..., Any]]:
    """Functions of a class by name, in the order they were written, bases first."""
    found: dict[str, Callable[..., Any]] = {}
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            raw = value.raw if isinstance(value, _Bound) else value
            if inspect.isfunction(raw):
                found[name] = raw
    return found


def _fields(cls: type) -> dict[str, tuple[object, _Field]]:
    found: dict[str, tuple[object, _Field]] = {}
    for base in reversed(cls.__mro__):
        annotations = vars(base).get("__annotations__", {})
        for name, value in vars(base).items():
            if isinstance(value, _Field):
                found[name] = (annotations.get(name), value)
    return found


def _checked(cls_name: str, given: dict[str, Any], known: dict[str, specs.Parameter]) -> dict[str, Any]:
    for name, value in given.items():
        if name not in known:
            raise InvalidError(_no_such(cls_name, name, known))
        if type(value) is not _PYTHON[known[name].type]:
            msg = (
                f"{cls_name}({name}={value!r}): the parameter is of type {known[name].type}, not {type(value).__name__}"
            )
            raise InvalidError(msg)
        if isinstance(value, int) and value.bit_length() > 63:
            msg = f"{cls_name}({name}=…): the number has {value.bit_length()} bits, and a parameter holds 63; give it as a str"
            raise InvalidError(msg)
    missing = [p.name for p in known.values() if p.required and p.name not in given]
    if missing:
        msg = f"{cls_name}() lacks its parameter {missing[0]!r}: write {cls_name}({missing[0]}=…)"
        raise InvalidError(msg)
    return {n: v for n, v in given.items() if known[n].required or v != known[n].default}


def _no_such(cls_name: str, name: str, known: dict[str, specs.Parameter]) -> str:
    return f"{cls_name}({name}=…): no such parameter; it has {', '.join(known) or 'none'}"


def _run_here(hook: Callable[[Any], Any], made: Any) -> None:
    result = hook(made)
    if inspect.iscoroutine(result):
        import asyncio

        asyncio.run(result)
