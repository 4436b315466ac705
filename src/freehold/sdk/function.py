"""Function: something that runs elsewhere. `remote` waits for its result, `spawn` does not, `map` runs it on many inputs."""

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, Unpack, cast

from msgspec.structs import replace

from freehold.core.errors import DeprecationError, ExecutionError, InvalidError, NotFoundError
from freehold.core.ids import new_id
from freehold.core.names import check_name
from freehold.core.overrides import Overrides
from freehold.protocol import schemas
from freehold.protocol.frames import Accepted, Consumed, Input, Item, Output, Payload, Status, Submit
from freehold.sdk import spawning, variants
from freehold.sdk.autoscaler import Autoscaler, update
from freehold.sdk.call import FunctionCall
from freehold.sdk.client import Client
from freehold.sdk.context import current_function_call_id, current_index
from freehold.sdk.exchange import Exchange, Kind
from freehold.sdk.faces import blocking, both, both_items
from freehold.sdk.logs import Logs
from freehold.sdk.mapping import Inputs, arguments_of
from freehold.sdk.mapping import Mapping as RunningMap
from freehold.sdk.options import Declaration
from freehold.sdk.outcome import failure_of, ready_client, value_of
from freehold.sdk.reference import Reference
from freehold.sdk.serialization import dump_arguments
from freehold.sdk.tracebacks import warn
from freehold.sdk.variants import Overriding, Variant

if TYPE_CHECKING:
    from freehold.sdk.app import App
    from freehold.sdk.image import Image
    from freehold.sdk.types import FunctionAutoscalerSettings, FunctionCurrentStats, FunctionInfo

P = ParamSpec("P")
R = TypeVar("R")
Many = Iterable[Any] | AsyncIterable[Any]


class Function(Generic[P, R]):
    """Made by `@app.function`, by `from_name`, or as a method of an `Obj`; `P` are its parameters, `R` what it returns or yields."""

    freehold_decorated = True

    def __init__(
        self,
        reference: Reference,
        *,
        raw: Callable[..., Any] | None = None,
        method: str = "",
        parameters: bytes = b"",
        generator: bool | None = None,
        declaration: Declaration | None = None,
        variant: Variant | None = None,
    ) -> None:
        self._reference, self._raw, self._generator = reference, raw, generator
        self._method, self._parameters, self._variant = method, parameters, variant
        self.declaration = declaration
        if raw is not None:
            self.__doc__, self.__name__, self.__module__ = raw.__doc__, raw.__name__, raw.__module__
            self.__wrapped__ = raw

    def __repr__(self) -> str:
        return f"Function({self.name!r})"

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
    ) -> "Function[..., Any]":
        """A deployed function, or `"Cls.method"`; nothing is asked of the server until it is used.

        `version`: that of the app, as `app history` lists them; NotFoundError when another one runs.
        """
        function, _, method = check_name(name, "a function").partition(".")
        found = Reference.deployed(
            app_name, function, version=version, environment_name=environment_name, client=client
        )
        return Function(found, method=method)

    @staticmethod
    def from_id(function_id: str, *, client: object = None) -> "Function[..., Any]":
        """A function that runs, by its id; asks the server."""
        del client  # one a process
        from freehold.sdk import facts

        detail = facts.function_detail(function_id)
        return Function(Reference(detail.handle.name, app_name=detail.app, handle=detail.handle))

    @staticmethod
    def lookup(app_name: str, name: str, *, environment_name: str | None = None, **_: object) -> "Function[..., Any]":
        """What is now `from_name`; asks the server at once."""
        warn("modal.Function.lookup(...) is now modal.Function.from_name(...)", DeprecationError)
        return Function.from_name(app_name, name, environment_name=environment_name).hydrate()

    # ---- what it is

    @property
    def name(self) -> str:
        """`name`, or `Cls.method`."""
        return f"{self._reference.name}.{self._method}" if self._method else self._reference.name

    @property
    def app_name(self) -> str | None:
        return self._reference.app_name

    @property
    def raw(self) -> Callable[P, Any]:
        """The user's own function."""
        if self._raw is None:
            msg = f"function {self.name!r} was found by name: its code is not here, so use .remote(...)"
            raise InvalidError(msg)
        return self._raw

    def get_raw_f(self) -> Callable[P, Any]:
        return self.raw

    @property
    def is_generator(self) -> bool:
        if self._generator is None:
            handle = self._reference.known()
            return handle is not None and handle.is_generator and not self._method
        return self._generator

    @property
    def object_id(self) -> str:
        """The function's id on the server."""
        return (self._reference.known() or self._reference.find()).id

    @both
    async def get_web_url(self) -> str | None:
        """Its address, if it is a web endpoint."""
        if self._variant is not None:
            msg = f"{self.name!r} with overrides has no address of its own: ask the function itself, or give it the options where it is declared"
            raise InvalidError(msg)
        handle = self._reference.known() or await blocking(self._reference.find)
        return handle.endpoints.get(self._method)

    @property
    def web_url(self) -> str | None:
        """What is now `get_web_url()`."""
        warn("Function.web_url is now Function.get_web_url()", DeprecationError)
        return self.get_web_url()

    @property
    def app(self) -> "App":
        """The app that it is declared in; raises ExecutionError for one that was found by name."""
        if self._reference.app is None:
            msg = f"function {self.name!r} was found by name: its app is App.lookup({self.app_name!r})"
            raise ExecutionError(msg)
        return cast("App", self._reference.app)

    @both
    async def info(self, *, refresh: bool = False) -> "FunctionInfo":
        """What it is run as."""
        del refresh  # it is asked anew each time
        from freehold.sdk import facts

        return facts.function_info(await blocking(self._detail))

    @both
    async def get_dashboard_url(self) -> str:
        return await self.page()

    async def page(self) -> str:
        """A core: the address of its app's page."""
        from freehold.sdk import facts

        return await blocking(lambda: facts.page(f"/apps/{self._detail().app_id}"))

    @property
    def logs(self) -> Logs:
        """What its instances have written."""
        return Logs(lambda: ({"app_id": self._detail().app_id, "function": self._reference.name}, self.object_id))

    @both
    async def hydrate(self, client: object = None) -> "Function[P, R]":
        """Ask the server now whether it is there; raises NotFoundError."""
        del client  # one a process
        await blocking(self._reference.find)
        return self

    # ---- its pool

    @both
    async def get_current_stats(self) -> "FunctionCurrentStats":
        """What waits and runs now."""
        from freehold.sdk import facts

        return await blocking(lambda: facts.current_stats(self._pool()))

    @property
    def autoscaler(self) -> Autoscaler:
        """How it scales."""
        return Autoscaler(self._pool)

    @both
    async def update_autoscaler(
        self,
        *,
        min_containers: int | None = None,
        max_containers: int | None = None,
        buffer_containers: int | None = None,
        scaledown_window: float | None = None,
    ) -> "FunctionAutoscalerSettings":
        """Change how it scales, until its app is deployed again; None leaves what is."""
        if self._method:
            msg = f"{self.name!r} is a method, and its object scales: write {self._reference.name}(...).update_autoscaler(...)"
            raise InvalidError(msg)
        return await self.scaled(
            min_containers=min_containers, max_containers=max_containers, buffer_containers=buffer_containers,
            scaledown_window=scaledown_window,
        )  # fmt: skip

    @both
    async def keep_warm(self, warm_pool_size: int) -> None:
        """What is now `update_autoscaler(min_containers=…)`."""
        warn(
            f"keep_warm({warm_pool_size!r}) is now update_autoscaler(min_containers={warm_pool_size!r})",
            DeprecationError,
        )
        await self.scaled(min_containers=warm_pool_size)

    async def scaled(self, **changes: float | None) -> "FunctionAutoscalerSettings":
        """A core of `update_autoscaler`, for methods and objects too."""
        return await update(Autoscaler(self._pool), {n: v for n, v in changes.items() if v is not None})

    # ---- overriding it

    def with_options(self, **options: Unpack[Overriding]) -> "Function[P, R]":
        """The same function with other resources, limits, secrets or volumes, in instances of its own."""
        return self._varied(variants.options(options, f"{self.name}.with_options"))

    def with_concurrency(self, *, max_inputs: int, target_inputs: int | None = None) -> "Function[P, R]":
        """The same function as under `@concurrent`, in instances of its own."""
        return self._varied(variants.concurrency(max_inputs, target_inputs))

    def with_batching(self, *, max_batch_size: int, wait_ms: int) -> "Function[P, R]":
        """The same function as under `@batched`, in instances of its own."""
        return self._varied(variants.batching(max_batch_size, wait_ms))

    def _varied(self, more: Overrides) -> "Function[P, R]":
        made = cast("Function[P, R]", Function.__new__(Function))
        made.__dict__ |= self.__dict__ | {"_variant": variants.varied(self._variant, more)}
        return made

    # ---- calling it

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ARG002 (it takes what the function takes)
        """Raise InvalidError, which says how to call it."""
        msg = f"{self.name!r} cannot be called directly: use .remote(...) to run it in an instance, or .local(...) to run it here"
        raise InvalidError(msg)

    def local(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Run the code here, in this process. An async function gives its coroutine, a generator its iterator."""
        return self.raw(*args, **kwargs)

    @both
    async def remote(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it in an instance and wait for the result; raises what it raised."""
        if self._generator:
            self._is_no("remote", "it is a generator: use .remote_gen(...)")
        client, handle = await self._ready()
        exchange = Exchange(submit=self._submit("remote", handle, self._input(client, 0, args, kwargs)))
        client.submit(exchange)
        answered = False
        try:
            answer = await exchange.take()
            while not isinstance(answer, Output):
                answer = await exchange.take()
            answered = True
        finally:
            client.forget(exchange)
            if not answered:
                client.abandon(exchange.call)
        if answer.status == Status.GENERATOR_DONE:
            self._is_no("remote", "it is a generator: use .remote_gen(...)")
        return value_of(answer, client)

    @both_items
    async def remote_gen(self, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[R, None]:
        """Run a generator in an instance and iterate over what it yields."""
        if self._generator is False:
            self._is_no("remote_gen", "it is not a generator: use .remote(...)")
        client, handle = await self._ready()
        exchange = Exchange(submit=self._submit("generator", handle, self._input(client, 0, args, kwargs)))
        client.submit(exchange)
        done = False
        try:
            while True:
                answer = await exchange.take()
                if isinstance(answer, Output):
                    done = True
                    if answer.status in (Status.GENERATOR_DONE, Status.OK):
                        return
                    raise failure_of(answer)
                if isinstance(answer, Item):
                    client.post(Consumed(exchange.call, 1))
                    yield value_of(answer, client)
        finally:
            client.forget(exchange)
            if not done:
                client.abandon(exchange.call)

    @both
    async def spawn(self, *args: P.args, **kwargs: P.kwargs) -> FunctionCall[R]:
        """Start it and return at once, when the server has written the call down; it outlives this process in a deployed app."""
        if self._generator:
            self._is_no("spawn", "it is a generator, and what it yields is kept nowhere: use .remote_gen(...)")
        client, handle = await self._ready()
        payload = dump_arguments(args, kwargs, sink=client.durable_sink, main=self._reference.main)
        exchange = Exchange(submit=self._submit("spawn", handle, Input(0, payload, self._method)))
        client.submit(exchange)
        try:
            while not isinstance(await exchange.take(), Accepted):
                pass
        finally:
            client.forget(exchange)
        return FunctionCall(exchange.call)

    def call(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The older name of `remote`."""
        warn(f"{self.name}.call(...) is now .remote(...)", DeprecationError)
        return self.remote(*args, **kwargs)

    @both
    async def spawn_map(self, *input_iterators: Many, kwargs: Mapping[str, Any] | None = None) -> FunctionCall[R]:
        """Start it on each item and return when the server has written down all of them; `iter` of the call has the results."""
        if self._generator:
            self._is_no("spawn_map", "it is a generator, and what it yields is kept nowhere: use .remote_gen(...)")
        client, handle = await self._ready()
        named, count = dict(kwargs or {}), iter(range(2**62))

        def encode(args: tuple[Any, ...]) -> Input:
            payload = dump_arguments(tuple(args), named, sink=client.durable_sink, main=self._reference.main)
            return Input(next(count), payload, self._method)

        def make(inputs: list[Input], more: bool) -> Submit:
            return replace(self._submit("spawn", handle, Input(0, Payload()), more=more), inputs=inputs)

        return FunctionCall(await spawning.spawn(client, arguments_of(input_iterators), make=make, encode=encode))

    experimental_spawn_map = spawn_map

    @both_items
    async def map(
        self,
        *input_iterators: Many,
        kwargs: Mapping[str, Any] | None = None,
        order_outputs: bool = True,
        return_exceptions: bool = False,
        wrap_returned_exceptions: bool | None = None,
    ) -> AsyncGenerator[R, None]:
        """Run it on each item, or on tuples from several iterables; lazily, many at once. `kwargs` go with every input."""
        _no_wrapping(wrap_returned_exceptions)
        inputs = arguments_of(input_iterators)
        async for value in self._mapped(inputs, kwargs, ordered=order_outputs, return_exceptions=return_exceptions):
            yield value

    @both_items
    async def starmap(
        self,
        input_iterator: Many,
        *,
        kwargs: Mapping[str, Any] | None = None,
        order_outputs: bool = True,
        return_exceptions: bool = False,
        wrap_returned_exceptions: bool | None = None,
    ) -> AsyncGenerator[R, None]:
        """As `map`, but each item is a tuple of arguments."""
        _no_wrapping(wrap_returned_exceptions)
        async for value in self._mapped(
            input_iterator, kwargs, ordered=order_outputs, return_exceptions=return_exceptions
        ):
            yield value

    @both
    async def for_each(
        self, *input_iterators: Many, kwargs: Mapping[str, Any] | None = None, ignore_exceptions: bool = False
    ) -> None:
        """Run it on each item and wait for all; results are dropped."""
        inputs = arguments_of(input_iterators)
        async for _ in self._mapped(inputs, kwargs, ordered=False, return_exceptions=ignore_exceptions):
            pass

    # ---- how

    async def _mapped(
        self, inputs: Inputs, kwargs: Mapping[str, Any] | None, *, ordered: bool, return_exceptions: bool
    ) -> AsyncGenerator[Any, None]:
        if self._generator:
            self._is_no("map", "it is a generator: call .remote_gen(...) for each input")
        client, handle = await self._ready()
        named, count = dict(kwargs or {}), iter(range(2**62))
        running = RunningMap(
            client,
            lambda first: self._submit("map", handle, first, more=True),
            lambda args: self._input(client, next(count), tuple(args), named),
        )
        await running.start(inputs)
        async for value in running.outputs(ordered=ordered, return_exceptions=return_exceptions):
            yield value

    async def _ready(self) -> "tuple[Client, schemas.FunctionHandle]":
        handle = self._reference.known()
        if handle is None:
            handle = await blocking(self._reference.find)
            self._check_method(handle)
        if self._variant is not None and not self._variant.known(handle.id):
            await blocking(self._variant.admit, handle.id)
        return await ready_client(), handle

    def _detail(self) -> "schemas.FunctionDetail":
        from freehold.sdk import facts

        return facts.function_detail((self._reference.known() or self._reference.find()).id)

    def _pool(self) -> "schemas.PoolRef":
        handle = self._reference.known() or self._reference.find()
        variant = self._variant.admit(handle.id) if self._variant is not None else ""
        return schemas.PoolRef(function=handle.id, parameters=self._parameters, variant=variant)

    def _check_method(self, handle: "schemas.FunctionHandle") -> None:
        methods = ", ".join(handle.methods)
        if handle.methods and not self._method:
            msg = f"{self.name!r} is a class: name its method, such as {f'{self.name}.{handle.methods[0]}'!r}; it has {methods}"
            raise InvalidError(msg)
        if self._method and self._method not in handle.methods:
            msg = (
                f"{self._reference.name!r} has no method {self._method!r}; it has {methods or 'none, it is a function'}"
            )
            raise NotFoundError(msg)

    def _input(self, client: Client, index: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Input:
        return Input(index, dump_arguments(args, kwargs, sink=client.sink, main=self._reference.main), self._method)

    def _submit(self, kind: Kind, handle: "schemas.FunctionHandle", first: Input, *, more: bool = False) -> Submit:
        return Submit(
            call=new_id("fc"), function=handle.id, kind=kind, inputs=[first], more=more,
            parameters=self._parameters, parent=current_function_call_id() or "", parent_index=current_index(),
            variant=self._variant.known(handle.id) if self._variant is not None else "",
        )  # fmt: skip

    def _is_no(self, verb: str, why: str) -> None:
        msg = f".{verb} of {self.name!r}: {why}"
        raise InvalidError(msg)

    def __reduce__(self) -> tuple[object, ...]:
        variant = portable(self._variant, self._reference)
        return _restore, (self._reference, self._method, self._parameters, self._generator, variant)


def _no_wrapping(asked: bool | None) -> None:
    if asked is not None:
        warn(
            "wrap_returned_exceptions= has no effect: exceptions are given back as they are; leave it out",
            DeprecationError,
        )


def portable(variant: Variant | None, reference: Reference) -> Variant | None:
    """A variant as it may lie in a pickle: the values of its secrets are the server's alone."""
    if variant is not None and variant.is_open:
        variant.admit((reference.known() or reference.find()).id)
    return variant


def _restore(
    reference: Reference, method: str, parameters: bytes, generator: bool | None, variant: Variant | None
) -> Function[..., Any]:
    return Function(reference, method=method, parameters=parameters, generator=generator, variant=variant)
