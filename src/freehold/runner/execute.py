"""Runs inputs: one after another in the main thread, in threads, in batches, or as tasks of one loop.

`submit`, `recall`, `cancel`, `expire` and `finish` are called from the IO thread; `run` is the main thread's and returns
after `finish`, when all that was begun has ended. An input that is in `running` belongs to whoever pops it from there.
"""

import asyncio
import inspect
import queue
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from freehold.core.errors import InputCancellation, InvalidError
from freehold.protocol.frames import Execute, Item, Payload, Result, Status
from freehold.runner import output, process
from freehold.runner.codec import Codec
from freehold.runner.load import Target, UserCode
from freehold.runner.outbox import Outbox
from freehold.sdk import context

try:
    import uvloop
except ImportError:  # a user's image may have removed it
    uvloop = None

Key = tuple[str, int, int]
CANCEL_SIGNAL = signal.SIGRTMIN + 5  # one that user code hardly takes
_WINDOW = 1000  # items of a generator ahead of its reader
_NOTHING = Payload()


@dataclass(eq=False, slots=True)
class Run:
    """One input that was begun."""

    execute: Execute
    key: Key
    started: float  # epoch
    deadline: float  # monotonic
    in_user_code: bool = False
    cancelled: bool = False
    thread: int = 0
    task: "asyncio.Task[None] | None" = None
    consumed: int | None = None


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What every executor works with."""

    user: UserCode
    codec: Codec
    outbox: Outbox
    output: output.Output


class Executor(Protocol):
    running: dict[Key, Run]

    def submit(self, execute: Execute) -> None: ...
    def recall(self) -> list[Key]: ...
    def cancel(self, key: Key) -> None: ...
    def expire(self, now: float) -> float | None: ...
    def consumed(self, call: str, count: int) -> None: ...
    def finish(self) -> None: ...
    def run(self) -> None: ...


class _Inputs:
    """What the executors share: beginning and ending an input, and its life as the IO thread sees it."""

    def __init__(self, tools: Tools, slots: int) -> None:
        self.user, self.codec, self.outbox, self.output = tools.user, tools.codec, tools.outbox, tools.output
        self.slots = slots
        self.running: dict[Key, Run] = {}
        self._skipped: set[Key] = set()  # cancelled before they were begun
        self._finishing = False

    # ---- from the IO thread

    def cancel(self, key: Key) -> None:
        run = self.running.get(key)
        if run is not None:
            run.cancelled = True
            self._interrupt(run)
        elif self._holds(key):
            self._skipped.add(key)
            now = time.time()
            self.outbox.post(Result(*key, Status.CANCELLED, _NOTHING, now, now))

    def expire(self, now: float) -> float | None:
        """End what is past its deadline; return the next deadline."""
        for run in [r for r in list(self.running.values()) if r.deadline <= now]:
            if self.running.pop(run.key, None) is not None:
                self._post(run, Status.TIMEOUT, _NOTHING)
                if run.task is not None:
                    self._interrupt(run)
        return min((r.deadline for r in list(self.running.values())), default=None)

    def consumed(self, call: str, count: int) -> None:
        for run in list(self.running.values()):
            if run.execute.call == call:
                run.consumed = (run.consumed or 0) + count

    def _holds(self, key: Key) -> bool:
        raise NotImplementedError

    def _interrupt(self, run: Run) -> None:
        raise NotImplementedError

    # ---- from the user's threads

    def _begin(self, execute: Execute) -> Run | None:
        key = execute.call, execute.index, execute.attempt
        if self._skipped and key in self._skipped:
            self._skipped.discard(key)
            return None
        run = Run(execute, key, time.time(), time.monotonic() + execute.timeout_s, thread=threading.get_ident())
        self.running[key] = run
        return run

    def _target(self, execute: Execute) -> Target:
        target = self.user.targets.get(execute.method)
        if target is None:
            msg = f"{self.user.spec.name!r} has no method {execute.method!r}"
            raise InvalidError(msg)
        return target

    def _end(self, run: Run, status: Status, payload: Payload, kept: list[str] | None = None) -> None:
        output.flush()  # all that it printed is in the file before its result is known
        self.output.end(run.execute.call)
        if self.running.pop(run.key, None) is not None:  # else it was told already: it timed out
            self._post(run, status, payload, kept)

    def _post(self, run: Run, status: Status, payload: Payload, kept: list[str] | None = None) -> None:
        self.outbox.post(Result(*run.key, status, payload, run.started, time.time(), kept or []))

    def _end_failed(self, run: Run, error: BaseException) -> None:
        if run.cancelled and isinstance(error, (InputCancellation, asyncio.CancelledError)):
            self._end(run, Status.CANCELLED, _NOTHING)
            return
        self._end(run, Status.ERROR, self.codec.failure(error), self.codec.kept(run.execute.payload))

    def _end_returned(self, run: Run, value: Any) -> None:
        execute = run.execute
        if inspect.isgenerator(value) or inspect.isasyncgen(value):
            _not_declared(self.user.spec.name, execute.method)
        payload = self.codec.result(value, execute.payload.format)
        del value
        self._end(run, Status.OK, payload, self.codec.kept(execute.payload) if execute.payload.buffers else None)

    def _item(self, run: Run, sequence: int, value: Any) -> None:
        self.outbox.post(Item(*run.key, sequence, self.codec.result(value, run.execute.payload.format)))

    def _ahead(self, run: Run, sequence: int) -> bool:
        return self.outbox.full or (run.consumed is not None and sequence - run.consumed > _WINDOW)


class Sequential(_Inputs):
    """Sync code: in the main thread, or in as many threads as there are slots."""

    def __init__(self, tools: Tools, slots: int) -> None:
        super().__init__(tools, slots)
        self._queue: queue.SimpleQueue[Execute | None] = queue.SimpleQueue()
        self._queued: set[Key] | None = None
        self._local = threading.local()
        self._active: Run | None = None  # the main thread's
        self._main = threading.get_ident()

    # ---- from the IO thread

    def submit(self, execute: Execute) -> None:
        self._queue.put(execute)

    def recall(self) -> list[Key]:
        taken: list[Key] = []
        while True:
            try:
                execute = self._queue.get_nowait()
            except queue.Empty:
                return taken
            if execute is None:
                self._queue.put(None)
                return taken
            taken.append((execute.call, execute.index, execute.attempt))

    def finish(self) -> None:
        for _ in range(self.slots):
            self._queue.put(None)

    def _holds(self, key: Key) -> bool:  # noqa: ARG002 (a queue cannot be searched: it is skipped when its turn comes)
        return True

    def _interrupt(self, run: Run) -> None:
        if run.thread == self._main:
            signal.pthread_kill(self._main, CANCEL_SIGNAL)
        elif run.in_user_code:
            process.raise_in_thread(run.thread, InputCancellation)

    # ---- from the main thread

    def run(self) -> None:
        signal.signal(CANCEL_SIGNAL, self._on_cancel)
        if self.slots == 1:
            self._work()
            return
        threads = [threading.Thread(target=self._work, name=f"input-{n}", daemon=True) for n in range(self.slots)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self) -> None:
        take = self._queue.get
        while (execute := take()) is not None:
            run = self._begin(execute)
            if run is not None:
                self._one(run)
            del execute, run

    def _one(self, run: Run) -> None:
        tokens = context.enter_input(run.execute.call, run.execute.index)
        if self.slots == 1:
            self.output.only_call = run.execute.call
        try:
            self._call(run)
        except BaseException as error:  # noqa: BLE001 (whatever user code raises crosses; SystemExit too)
            self._end_failed(run, error)
        finally:
            run.in_user_code = False
            self._active = None
            context.leave_input(tokens)

    def _call(self, run: Run) -> None:
        execute = run.execute
        target = self._target(execute)
        args, kwargs = self.codec.arguments(execute.payload)
        self._enter_user_code(run)
        value = target.call(*args, **kwargs)
        del args, kwargs
        if inspect.isawaitable(value):
            value = self._runner().run(_settle(value))
        if execute.generator:
            self._stream(run, value)
        else:
            run.in_user_code = False
            self._end_returned(run, value)

    def _enter_user_code(self, run: Run) -> None:
        run.in_user_code = True
        if self.slots == 1:
            self._active = run
        if run.cancelled:
            raise InputCancellation

    def _stream(self, run: Run, items: Any) -> None:
        sequence = -1
        for sequence, value in enumerate(_iterate(items, self.user.spec.name, self._runner)):  # noqa: B007 (counted)
            if run.key not in self.running:  # it timed out
                return
            self._item(run, sequence, value)
            while self._ahead(run, sequence):
                time.sleep(0.001) if not self.outbox.full else self.outbox.wait_for_room()
        run.in_user_code = False
        self._end(run, Status.GENERATOR_DONE, _NOTHING, self.codec.kept(run.execute.payload))

    def _runner(self) -> "asyncio.Runner":
        """A loop of this thread, for awaitables that sync code returns."""
        runner = getattr(self._local, "runner", None)
        if runner is None:
            runner = self._local.runner = asyncio.Runner()
        return runner

    def _on_cancel(self, *_: object) -> None:
        run = self._active
        if run is not None and run.cancelled and run.in_user_code:
            raise InputCancellation("the call was cancelled")


class Batched(Sequential):
    """Gathers inputs into lists: whatever has come, and what comes within `wait_ms` of the first, up to `max_batch_size`."""

    def __init__(self, tools: Tools, method: str, target: Target) -> None:
        super().__init__(tools, 1)
        assert target.batching is not None
        self._method, self._batched = method, target
        self._most, self._wait_s = target.batching.max_batch_size, target.batching.wait_ms / 1000
        self._over = False

    def _work(self) -> None:
        while not self._over:
            first = self._queue.get()
            if first is None:
                return
            runs = [r for r in map(self._begin, self._gather(first)) if r is not None]
            if runs:
                self._all(runs)

    def _gather(self, first: Execute) -> list[Execute]:
        batch, until = [first], time.monotonic() + self._wait_s
        while len(batch) < self._most:
            try:
                execute = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if execute is None:
                self._over = True
                break
            batch.append(execute)
        return batch

    def _all(self, runs: list[Run]) -> None:
        first = runs[0].execute
        tokens = context.enter_input(first.call, first.index)
        self.output.only_call = first.call
        try:
            self._call_batch(runs)
        except BaseException as error:  # noqa: BLE001 (as for one input)
            for run in runs:
                self._end_failed(run, error)
        finally:
            self._active = None
            context.leave_input(tokens)

    def _call_batch(self, runs: list[Run]) -> None:
        ready: list[tuple[Run, Any]] = []
        for run in runs:
            try:
                ready.append((run, self.codec.arguments(run.execute.payload)))
            except Exception as error:  # noqa: BLE001 (that input alone fails)
                self._end_failed(run, error)
        if not ready:
            return
        args, kwargs = _columns([arguments for _, arguments in ready])
        if len(ready) == 1:
            self._enter_user_code(ready[0][0])
        values = self._batched.call(*args, **kwargs)
        if inspect.isawaitable(values):
            values = self._runner().run(_settle(values))
        _check_batch(values, len(ready), self.user.spec.name)
        for (run, _), value in zip(ready, values, strict=True):
            run.in_user_code = False
            try:
                self._end_returned(run, value)
            except Exception as error:  # noqa: BLE001 (that input alone fails)
                self._end_failed(run, error)


class Concurrent(_Inputs):
    """Code with something async in it, or with web endpoints: tasks of one loop in the main thread, sync methods in threads."""

    def __init__(self, tools: Tools, slots: int, *, threads: bool) -> None:
        super().__init__(tools, slots)
        self.loop = new_loop()
        self._waiting: deque[Execute] = deque()
        self._scheduled = False
        self._active = 0
        self._threads = threads or slots > 1
        self._done = asyncio.Event()
        self._current: Run | None = None
        self._main = threading.get_ident()
        if self._threads:
            self._pool = ThreadPoolExecutor(slots, "input")

    # ---- from the IO thread

    def submit(self, execute: Execute) -> None:
        self._waiting.append(execute)
        self._wake()

    def recall(self) -> list[Key]:
        taken: list[Key] = []
        while True:
            try:
                execute = self._waiting.pop()
            except IndexError:
                return taken[::-1]
            taken.append((execute.call, execute.index, execute.attempt))

    def finish(self) -> None:
        self._finishing = True
        self._wake()

    def _wake(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon_threadsafe(self._begin_more)

    def _holds(self, key: Key) -> bool:
        return any((e.call, e.index, e.attempt) == key for e in list(self._waiting))

    def _interrupt(self, run: Run) -> None:
        if run.task is not None:
            self.loop.call_soon_threadsafe(run.task.cancel)
        elif run.thread == self._main:
            signal.pthread_kill(self._main, CANCEL_SIGNAL)
        elif run.in_user_code:
            process.raise_in_thread(run.thread, InputCancellation)

    # ---- from the main thread

    def run(self) -> None:
        signal.signal(CANCEL_SIGNAL, self._on_cancel)
        self.loop.run_until_complete(self._done.wait())

    def _on_cancel(self, *_: object) -> None:
        run = self._current
        if run is not None and run.cancelled and run.in_user_code:
            raise InputCancellation("the call was cancelled")

    def _begin_more(self) -> None:
        self._scheduled = False
        while self._active < self.slots:
            try:
                execute = self._waiting.popleft()
            except IndexError:
                break
            run = self._begin(execute)
            if run is not None:
                self._start(run)
        if self._finishing and not self._active and not self._waiting:
            self._done.set()

    def _start(self, run: Run) -> None:
        target = self.user.targets.get(run.execute.method)
        self._active += 1
        if target is None or target.is_async:
            run.task = self.loop.create_task(self._one_async(run))
            run.task.add_done_callback(lambda _: self._ended())
        elif self._threads:
            future = self.loop.run_in_executor(self._pool, self._one_sync, run)
            future.add_done_callback(lambda _: self._ended())
        else:
            self._current = run
            self._one_sync(run)
            self._current = None
            self._active -= 1

    def _ended(self) -> None:
        self._active -= 1
        self._begin_more()

    async def _one_async(self, run: Run) -> None:
        execute = run.execute
        context.enter_input(execute.call, execute.index)
        if self.slots == 1:
            self.output.only_call = execute.call
        try:
            target = self._target(execute)
            args, kwargs = self.codec.arguments(execute.payload)
            value = target.call(*args, **kwargs)
            del args, kwargs
            if inspect.isawaitable(value):
                value = await value
            if execute.generator:
                await self._stream_async(run, value)
            else:
                self._end_returned(run, value)
        except BaseException as error:  # noqa: BLE001 (whatever user code raises crosses)
            self._end_failed(run, error)

    async def _stream_async(self, run: Run, items: Any) -> None:
        sequence = 0
        async for value in _aiterate(items, self.user.spec.name):
            self._item(run, sequence, value)
            while self._ahead(run, sequence):
                await asyncio.sleep(0.002)
            sequence += 1
        self._end(run, Status.GENERATOR_DONE, _NOTHING, self.codec.kept(run.execute.payload))

    def _one_sync(self, run: Run) -> None:
        execute = run.execute
        run.thread = threading.get_ident()
        tokens = context.enter_input(execute.call, execute.index)
        if self.slots == 1:
            self.output.only_call = execute.call
        try:
            args, kwargs = self.codec.arguments(execute.payload)
            run.in_user_code = True
            if run.cancelled:
                raise InputCancellation  # noqa: TRY301 (the same way as from user code)
            value = self._target(execute).call(*args, **kwargs)
            del args, kwargs
            if inspect.isawaitable(value):
                value = asyncio.run_coroutine_threadsafe(_settle(value), self.loop).result()
            if execute.generator:
                self._stream_sync(run, value)
            else:
                run.in_user_code = False
                self._end_returned(run, value)
        except BaseException as error:  # noqa: BLE001 (whatever user code raises crosses)
            self._end_failed(run, error)
        finally:
            run.in_user_code = False
            context.leave_input(tokens)

    def _stream_sync(self, run: Run, items: Any) -> None:
        for sequence, value in enumerate(_iterate(items, self.user.spec.name, None)):
            self._item(run, sequence, value)
            while self._ahead(run, sequence):
                time.sleep(0.002)
        run.in_user_code = False
        self._end(run, Status.GENERATOR_DONE, _NOTHING, self.codec.kept(run.execute.payload))


# ---- small things


def new_loop() -> asyncio.AbstractEventLoop:
    """A loop for this thread: uvloop's where it is installed."""
    loop = asyncio.new_event_loop() if uvloop is None else uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


async def _settle(value: Any) -> Any:
    return await value


def _iterate(items: Any, name: str, runner: "Callable[[], asyncio.Runner] | None") -> Iterable[Any]:
    if hasattr(items, "__aiter__") and runner is not None:
        return _drive(items.__aiter__(), runner())
    if not hasattr(items, "__iter__") or isinstance(items, (str, bytes, dict, list, tuple)):
        _no_generator(name, items)
    return items


def _drive(items: Any, runner: "asyncio.Runner") -> Iterable[Any]:
    while True:
        try:
            yield runner.run(_settle(items.__anext__()))
        except StopAsyncIteration:
            return


async def _aiterate(items: Any, name: str) -> Any:
    if hasattr(items, "__aiter__"):
        async for item in items:
            yield item
        return
    for item in _iterate(items, name, None):
        yield item
        await asyncio.sleep(0)


def _no_generator(name: str, value: Any) -> None:
    msg = f"{name!r} was called as a generator and returned a {type(value).__qualname__!r}: use `yield`, or call it with .remote()"
    raise InvalidError(msg)


def _not_declared(name: str, method: str) -> None:
    shown = f"{name}.{method}" if method else name
    msg = f"{shown!r} returned a generator: call it with .remote_gen(), and declare it with is_generator=True where it is a plain function"
    raise InvalidError(msg)


def _columns(arguments: list[Any]) -> tuple[list[list[Any]], dict[str, list[Any]]]:
    """Arguments of many inputs as lists, one a parameter."""
    first_args, first_kwargs = arguments[0]
    for args, kwargs in arguments:
        if len(args) != len(first_args) or kwargs.keys() != first_kwargs.keys():
            msg = "the inputs of a batch must give the same arguments, each by position or each by name"
            raise InvalidError(msg)
    args = [[a[n] for a, _ in arguments] for n in range(len(first_args))]
    return args, {name: [k[name] for _, k in arguments] for name in first_kwargs}


def _check_batch(values: Any, size: int, name: str) -> None:
    if not hasattr(values, "__len__") or isinstance(values, (str, bytes, dict)):
        msg = f"{name!r} is batched and must return a list with one result an input; it returned a {type(values).__qualname__!r}"
        raise InvalidError(msg)
    if len(values) != size:
        msg = f"{name!r} got a batch of {size} inputs and returned {len(values)} results: return one result an input, in their order"
        raise InvalidError(msg)
