"""What all executors share: an input's beginning and end, and how the IO thread sees it meanwhile.

`submit`, `recall`, `cancel`, `expire`, `consumed` and `finish` are called from the IO thread; `run` is the main thread's and
returns after `finish`, when all that was begun has ended. An input that is in `running` belongs to whoever pops it from there.
"""

import asyncio
import inspect
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from freehold.core.errors import FunctionTimeoutError, InputCancellation, InvalidError
from freehold.protocol.frames import Execute, Item, Payload, Result, Status
from freehold.runner import output
from freehold.runner.codec import Codec
from freehold.runner.load import Target, UserCode
from freehold.runner.outbox import Outbox
from freehold.sdk.tracebacks import user_traceback

try:
    import uvloop
except ImportError:  # a user's image may have removed it
    uvloop = None

Key = tuple[str, int, int]
CANCEL_SIGNAL = signal.SIGRTMIN + 5  # one that user code hardly takes
NOTHING = Payload()
_WINDOW = 1000  # items of a generator ahead of its reader


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


class Inputs:
    """What the executors share: beginning and ending an input, and its life as the IO thread sees it."""

    def __init__(self, tools: Tools, slots: int) -> None:
        self.user, self.codec, self.outbox, self.output = tools.user, tools.codec, tools.outbox, tools.output
        self.slots = slots
        self.running: dict[Key, Run] = {}
        self._skipped: set[Key] = set()  # cancelled before they were begun
        self._finishing = False
        self._pid = os.getpid()

    # ---- from the IO thread

    def cancel(self, key: Key) -> None:
        run = self.running.get(key)
        if run is not None:
            run.cancelled = True
            self._interrupt(run)
        elif self._holds(key):
            self._skipped.add(key)
            now = time.time()
            self.outbox.post(Result(*key, Status.CANCELLED, NOTHING, now, now))

    def expire(self, now: float) -> float | None:
        """End what is past its deadline; return the next deadline."""
        for run in [r for r in list(self.running.values()) if r.deadline <= now]:
            if self.running.pop(run.key, None) is not None:
                limit = run.execute.timeout_s
                text = f"an input of {self.user.spec.name!r} ran past its timeout of {limit:g} s: raise timeout=, or give it less to do"
                self._post(run, Status.TIMEOUT, self.codec.failure(FunctionTimeoutError(text)))
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
        self._leave_if_forked()
        output.flush()  # all that it printed is in the file before its result is known
        self.output.end(run.execute.call)
        if self.running.pop(run.key, None) is not None:  # else it was told already: it timed out
            self._post(run, status, payload, kept)

    def _waits(self) -> bool:
        """An input is here that is not begun."""
        raise NotImplementedError

    def _post(self, run: Run, status: Status, payload: Payload, kept: list[str] | None = None) -> None:
        last = status == Status.OK and not self.running and not self._waits()
        post = self.outbox.post_now if last else self.outbox.post  # what others follow goes with them in one write
        post(Result(*run.key, status, payload, run.started, time.time(), kept or []))

    def _end_failed(self, run: Run, error: BaseException) -> None:
        self._leave_if_forked(error)
        if run.cancelled and isinstance(error, (InputCancellation, asyncio.CancelledError)):
            self._end(run, Status.CANCELLED, NOTHING)
            return
        self._end(run, Status.ERROR, self.codec.failure(error), self.codec.kept(run.execute.payload))

    def _written(self, run: Run, value: Any) -> Payload:
        """A result as a payload. Its caller lets go of the value before it ends the input: what was only echoed is then seen as unused."""
        self._leave_if_forked()
        execute = run.execute
        if inspect.isgenerator(value) or inspect.isasyncgen(value):
            _not_declared(self.user.spec.name, execute.method)
        return self.codec.result(value, execute.payload.format)

    def _end_returned(self, run: Run, payload: Payload) -> None:
        execute = run.execute
        self._end(run, Status.OK, payload, self.codec.kept(execute.payload) if execute.payload.buffers else None)

    def _leave_if_forked(self, error: BaseException | None = None) -> None:
        """A process that user code forked ends where the function ends: the input is its parent's, and so is the link."""
        if os.getpid() != self._pid:
            _leave(error)

    def _item(self, run: Run, sequence: int, value: Any) -> None:
        self.outbox.post(Item(*run.key, sequence, self.codec.result(value, run.execute.payload.format)))

    def _ahead(self, run: Run, sequence: int) -> bool:
        return self.outbox.full or (run.consumed is not None and sequence - run.consumed > _WINDOW)


def new_loop() -> asyncio.AbstractEventLoop:
    """A loop for this thread: uvloop's where it is installed."""
    loop = asyncio.new_event_loop() if uvloop is None else uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


async def settle(value: Any) -> Any:
    """Any awaitable as a coroutine."""
    return await value


def _leave(error: BaseException | None) -> NoReturn:
    """End this process as Python would."""
    code: object = 0 if error is None else 1
    if isinstance(error, SystemExit):
        code = error.code or 0
    elif error is not None:
        sys.stderr.write(user_traceback(error))
    if not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
    output.flush()
    os._exit(code if isinstance(code, int) else 1)


def _not_declared(name: str, method: str) -> None:
    shown = f"{name}.{method}" if method else name
    msg = f"{shown!r} returned a generator: call it with .remote_gen(), and declare it with is_generator=True where it is a plain function"
    raise InvalidError(msg)
