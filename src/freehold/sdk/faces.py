"""One async core, two faces: `f(...)` blocks the thread, `f.aio(...)` awaits on the user's own event loop.

A core awaits nothing but steps. The sync face blocks on each step, with no event loop; the async face settles each on
the running loop. So neither face is written twice, and the sync one costs a few microseconds.
"""

import asyncio
import contextlib
import functools
import threading
import weakref
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator
from concurrent.futures import Future
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast, overload

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
Core = Coroutine[Any, Any, R]


class Step(Protocol):
    """Something a core waits for."""

    def block(self) -> None: ...
    async def settle(self) -> None: ...


class Gate:
    """A binary semaphore: notifiers open it, one waiter, a thread or a task, passes and shuts it. `await gate` waits."""

    __slots__ = ("_lock", "_waiter")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self._waiter: asyncio.Future[None] | None = None

    def open(self) -> None:
        if self._lock.locked():
            with contextlib.suppress(RuntimeError):  # another notifier was quicker
                self._lock.release()
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            _waker_of(waiter.get_loop()).wake(waiter)

    def block(self, timeout_s: float | None = None) -> None:
        self._lock.acquire(timeout=-1 if timeout_s is None else max(timeout_s, 0))

    async def settle(self, timeout_s: float | None = None) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiter = future  # before the check, so that an opening in between is seen
        if self._lock.acquire(blocking=False):
            return
        if timeout_s is None:
            await future
        else:
            await asyncio.wait((future,), timeout=max(timeout_s, 0))
        self._lock.acquire(blocking=False)

    def within(self, timeout_s: float | None) -> "Step":
        """A step that waits at most so long."""
        return self if timeout_s is None else _Within(self, timeout_s)

    def __await__(self) -> Generator[Step, None, None]:
        yield self


class _Within:
    def __init__(self, gate: Gate, timeout_s: float) -> None:
        self._gate, self._timeout_s = gate, timeout_s

    def block(self) -> None:
        self._gate.block(self._timeout_s)

    async def settle(self) -> None:
        await self._gate.settle(self._timeout_s)


class _Work(Generic[R]):
    """A blocking function: called in place by the sync face, in a thread by the async one."""

    result: R

    def __init__(self, work: Callable[[], R]) -> None:
        self._work = work

    def block(self) -> None:
        self.result = self._work()

    async def settle(self) -> None:
        self.result = await asyncio.to_thread(self._work)


class _Patience(_Work[R]):
    """One that may take for ever: the async face gives it a thread of its own, so that it holds up no other."""

    async def settle(self) -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[R] = loop.create_future()

        def run() -> None:
            outcome: Future[R] = Future()
            try:
                outcome.set_result(self._work())
            except BaseException as error:  # noqa: BLE001 (raised where it is waited for)
                outcome.set_exception(error)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any longer
                loop.call_soon_threadsafe(_settle, done, outcome)

        threading.Thread(target=run, name="freehold-waits", daemon=True).start()
        self.result = await done


def _settle(done: "asyncio.Future[R]", outcome: "Future[R]") -> None:
    if done.done():
        return
    error = outcome.exception()
    if error is None:
        done.set_result(outcome.result())
    else:
        done.set_exception(error)


class _Pause:
    def __init__(self, step: Step) -> None:
        self._step = step

    def __await__(self) -> Generator[Step, None, None]:
        yield self._step


async def pause(step: Step) -> None:
    """Wait, inside a core, for `step`."""
    await _Pause(step)


async def blocking(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call, inside a core, what blocks: a request, a file."""
    step = _Work(functools.partial(work, *args, **kwargs))
    await _Pause(step)
    return step.result


async def patient(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call, inside a core, what blocks until something happens elsewhere: an end, an output."""
    step = _Patience(functools.partial(work, *args, **kwargs))
    await _Pause(step)
    return step.result


# ---- driving a core


def drive(core: Core[R]) -> R:
    """Run a core to its end in this thread."""
    try:
        step: Step = core.send(None)
        while True:
            try:
                step.block()
            except BaseException as error:  # noqa: BLE001 (KeyboardInterrupt too belongs to the core, which cancels its call)
                step = core.throw(error)
            else:
                step = core.send(None)
    except StopIteration as end:
        return end.value


async def drive_async(core: Core[R]) -> R:
    """Run a core to its end on the running loop."""
    try:
        step: Step = core.send(None)
        while True:
            try:
                await step.settle()
            except BaseException as error:  # noqa: BLE001 (asyncio's CancelledError too)
                step = core.throw(error)
            else:
                step = core.send(None)
    except StopIteration as end:
        return end.value


async def _drive_made(make: Callable[..., Core[R]], args: Any, kwargs: Any) -> R:
    """Make the core only when it is awaited: a task may be cancelled before it begins, and would leave a core that never ran."""
    return await drive_async(make(*args, **kwargs))


def _name_of(core: Callable[..., Any]) -> str:
    return getattr(getattr(core, "func", core), "__qualname__", "core")


def drive_items(core: AsyncGenerator[R, None]) -> Generator[R, None, None]:
    """Iterate over a core in this thread."""
    try:
        while True:
            try:
                item = drive(core.__anext__())
            except StopAsyncIteration:
                return
            yield item
    finally:
        drive(core.aclose())


async def drive_items_async(core: AsyncGenerator[R, None]) -> AsyncGenerator[R, None]:
    """Iterate over a core on the running loop."""
    try:
        while True:
            try:
                item = await drive_async(core.__anext__())
            except StopAsyncIteration:
                return
            yield item
    finally:
        await drive_async(core.aclose())


# ---- the faces


class Both(Generic[P, R]):
    """A callable that blocks, with its awaitable twin `.aio`; `core` is for other cores."""

    __slots__ = ("core",)

    def __init__(self, core: Callable[P, Core[R]]) -> None:
        self.core = core

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return drive(self.core(*args, **kwargs))

    def aio(self, *args: P.args, **kwargs: P.kwargs) -> Core[R]:
        waiting = _drive_made(self.core, args, kwargs)  # and holds nothing of us: many may wait at once
        waiting.__qualname__ = f"{_name_of(self.core)}.aio"  # for who forgets to await it
        return waiting


class BothItems(Generic[P, R]):
    """A callable that gives an iterator, with its async twin `.aio`; `core` is for other cores."""

    __slots__ = ("core",)

    def __init__(self, core: Callable[P, AsyncGenerator[R, None]]) -> None:
        self.core = core

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Generator[R, None, None]:
        return drive_items(self.core(*args, **kwargs))

    def aio(self, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[R, None]:
        return drive_items_async(self.core(*args, **kwargs))


class both(Generic[S, P, R]):  # noqa: N801 (a decorator)
    """Decorates a method that is a core."""

    def __init__(self, core: Callable[Concatenate[S, P], Core[R]]) -> None:
        self._core = core
        self.__doc__ = core.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> "both[S, P, R]": ...
    @overload
    def __get__(self, instance: S, owner: type) -> Both[P, R]: ...
    def __get__(self, instance: S | None, owner: type) -> "Both[P, R] | both[S, P, R]":
        if instance is None:
            return self
        return Both(functools.partial(self._core, instance))


class both_items(Generic[S, P, R]):  # noqa: N801 (a decorator)
    """Decorates a method that is a core and yields."""

    def __init__(self, core: Callable[Concatenate[S, P], AsyncGenerator[R, None]]) -> None:
        self._core = core
        self.__doc__ = core.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> "both_items[S, P, R]": ...
    @overload
    def __get__(self, instance: S, owner: type) -> BothItems[P, R]: ...
    def __get__(self, instance: S | None, owner: type) -> "BothItems[P, R] | both_items[S, P, R]":
        if instance is None:
            return self
        return BothItems(functools.partial(self._core, instance))


class both_class(Generic[S, P, R]):  # noqa: N801 (a decorator)
    """Decorates a class method that is a core."""

    def __init__(self, core: Callable[Concatenate[type[S], P], Core[R]]) -> None:
        self._core = cast("classmethod[S, P, Core[R]]", core).__func__
        self.__doc__ = core.__doc__

    def __get__(self, instance: S | None, owner: type[S]) -> Both[P, R]:
        return Both(functools.partial(self._core, owner))


def both_static(core: Callable[P, Core[R]]) -> Both[P, R]:
    """Decorates a function that is a core; below `@staticmethod`, in a class."""
    return Both(core)


def both_items_static(core: Callable[P, AsyncGenerator[R, None]]) -> BothItems[P, R]:
    """The same for one that yields."""
    return BothItems(core)


class Opener(Generic[P, R]):
    """A callable that gives what `with` and `async with` open; `.aio` is the same, for programs that write it."""

    __slots__ = ("_make", "aio")

    def __init__(self, make: Callable[P, R]) -> None:
        self._make = self.aio = make

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._make(*args, **kwargs)


class opens(Generic[S, P, R]):  # noqa: N801 (a decorator)
    """Decorates a method that gives what both `with` and `async with` open."""

    def __init__(self, make: Callable[Concatenate[S, P], R]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> "opens[S, P, R]": ...
    @overload
    def __get__(self, instance: S, owner: type) -> Opener[P, R]: ...
    def __get__(self, instance: S | None, owner: type) -> "Opener[P, R] | opens[S, P, R]":
        if instance is None:
            return self
        return Opener(functools.partial(self._make, instance))


def opens_static(make: Callable[P, R]) -> Opener[P, R]:
    """Decorates a function, or the body of a static method, that gives what both `with` and `async with` open."""
    return Opener(make)


async def each(items: AsyncIterator[R]) -> list[R]:
    """Gather what a core yields."""
    return [item async for item in items]


class _Waker:
    """Wakes tasks of one loop from other threads: all that are due at once, since each entry costs a system call."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._due: deque[asyncio.Future[None]] = deque()
        self._scheduled = False

    def wake(self, future: "asyncio.Future[None]") -> None:
        self._due.append(future)
        if not self._scheduled:
            self._scheduled = True
            loop = self._loop()
            if loop is not None and not loop.is_closed():
                loop.call_soon_threadsafe(self._wake_due)

    def _wake_due(self) -> None:
        self._scheduled = False  # first, so that what comes from here on schedules again
        due = self._due
        while due:
            future = due.popleft()
            if not future.done():
                future.set_result(None)


_wakers: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Waker]" = weakref.WeakKeyDictionary()


def _waker_of(loop: asyncio.AbstractEventLoop) -> _Waker:
    waker = _wakers.get(loop)
    if waker is None:
        waker = _wakers[loop] = _Waker(loop)
    return waker
