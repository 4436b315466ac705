"""An instance's life after the fork: the link in a thread of its own, the user's code in the main thread, and an orderly end."""

import asyncio
import atexit
import contextlib
import gc
import inspect
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from freehold.core.errors import InvalidError
from freehold.protocol.control import Fork
from freehold.protocol.frames import (
    Beat,
    CancelInput,
    Consumed,
    Drain,
    Execute,
    Join,
    Ready,
    Recall,
    Refused,
    Release,
    Returned,
    StartFailed,
    ToInstance,
    Welcome,
)  # fmt: skip
from freehold.protocol.link import Link, open_link
from freehold.protocol.version import PROTOCOL_VERSION
from freehold.runner import output, threads
from freehold.runner.batched import Batched
from freehold.runner.buckets import attended
from freehold.runner.codec import Codec
from freehold.runner.concurrent import Concurrent
from freehold.runner.inputs import CANCEL_SIGNAL, Executor, Key, Tools, new_loop
from freehold.runner.load import UserCode
from freehold.runner.outbox import Outbox
from freehold.runner.porter import Porter
from freehold.runner.sequential import Sequential
from freehold.runner.web import Endpoints
from freehold.sdk import terminal
from freehold.sdk.serialization import failure

if TYPE_CHECKING:
    from freehold.runner.gang import Gang

_decoder: "msgspec.msgpack.Decoder[list[ToInstance]]" = msgspec.msgpack.Decoder(list[ToInstance])
_GRACE_S = 30.0
_CHECK_S = 3600.0
LINK_LOST = 75  # exit code


def run(request: Fork, user: UserCode, out: output.Output, *, forked: float) -> int:
    """Live the whole life of an instance; return the process's exit code."""
    _take_environment(request)
    terminal.install()
    gc.enable()
    phases = {"fork": forked - request.sent}
    gang, problem = _forked(request, user, out)  # while there is no thread
    instance = Instance(request, attended(user), out)
    instance.gang, instance.problem = gang, problem
    instance.listen_to_signals()
    instance.start_link()
    try:
        return instance.live(phases, time.time())
    finally:
        instance.stop_link()
        if gang is not None:
            gang.leave()
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
        output.flush()


class Instance:
    """Joins the IO thread and the main thread."""

    def __init__(self, request: Fork, user: UserCode, out: output.Output) -> None:
        self._request, self._user, self._output = request, user, out
        self._porter = Porter(Path(request.porter)) if request.porter else None  # before the server hears of us
        self.gang: Gang | None = None
        self.problem: BaseException | None = None  # why it cannot start
        self._outbox = Outbox()
        self._codec = Codec(request.instance, request.arena)
        self._io: asyncio.AbstractEventLoop | None = None
        self._link: Link[ToInstance] | None = None
        self._executor: Executor | None = None
        self._early: list[Execute] = []
        self._thread: threading.Thread | None = None
        self._leaving = False
        self._over = False
        self._check: asyncio.TimerHandle | None = None
        self._check_at = float("inf")

    # ---- the main thread

    def listen_to_signals(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._on_term)
        os.register_at_fork(after_in_child=_as_any_process)

    def live(self, phases: dict[str, float], began: float) -> int:
        """Enter, serve, exit."""
        spec = self._user.spec
        endpoints = Endpoints(self._user, self._request, self._output, self._porter)
        executor = self._make_executor(web=bool(endpoints.targets))
        loop = executor.loop if isinstance(executor, Concurrent) else None
        try:
            self._check_gang()
            endpoints.check_ports()
            self._run_hooks("enter", loop)
            if self.gang is not None:
                self.gang.wait_ready()
            if loop is not None:
                loop.run_until_complete(endpoints.start(executor.slots if isinstance(executor, Concurrent) else 1))
        except BaseException as error:  # noqa: BLE001 (whatever user code raises ends the start)
            return self._start_failed(error)
        entered = time.time()
        phases |= {"enter": entered - began}
        self._executor = executor
        if self._leaving:
            executor.finish()
        else:
            self._outbox.post(Ready(_slots(self._user), endpoints.addresses, phases))
        output.flush()
        executor.run()
        if loop is not None:
            loop.run_until_complete(endpoints.stop(_GRACE_S))
        try:
            self._run_hooks("exit", loop)
        except BaseException as error:  # noqa: BLE001 (the instance leaves all the same)
            self._output.line("stderr", failure(error).traceback.rstrip())
            self._output.event("error", f"an @exit hook of {spec.name} failed", error=str(error))
            return 1
        return 0

    def _check_gang(self) -> None:
        if self.problem is not None:
            raise self.problem

    def _make_executor(self, *, web: bool) -> Any:
        user = self._user
        tools = Tools(user=user, codec=self._codec, outbox=self._outbox, output=self._output)
        slots = max(1, user.spec.concurrency.max_inputs)
        batched = [(name, t) for name, t in user.targets.items() if t.batching is not None]
        if batched and not web:
            return Batched(tools, *batched[0])
        if web or user.is_async:
            return Concurrent(tools, slots, threads=web)
        return Sequential(tools, slots)

    def _run_hooks(self, kind: Any, loop: asyncio.AbstractEventLoop | None) -> None:
        for hook in self._user.hooks.get(kind, []):
            made = hook()
            if inspect.isawaitable(made):
                if loop is None:
                    asyncio.run(_settled(made))
                else:
                    loop.run_until_complete(_settled(made))

    def _start_failed(self, error: BaseException) -> int:
        told = failure(error)
        self._output.line("stderr", told.traceback.rstrip())
        self._outbox.post(StartFailed("enter", told))
        return 1

    def _on_term(self, *_: object) -> None:
        if self._io is not None:
            with contextlib.suppress(RuntimeError):
                self._io.call_soon_threadsafe(self._leave)

    # ---- the IO thread

    def start_link(self) -> None:
        self._thread = threading.Thread(target=self._run_io, name="freehold-io", daemon=True)
        self._thread.start()

    def stop_link(self) -> None:
        """Send what is posted and hang up; from the main thread."""
        self._over = True
        if self._io is None or self._thread is None or not self._thread.is_alive():
            return
        with contextlib.suppress(RuntimeError):
            asyncio.run_coroutine_threadsafe(self._say_goodbye(), self._io)
        self._thread.join(5.0)
        self._codec.close()

    def _run_io(self) -> None:
        try:
            self._io = new_loop()
            self._io.run_until_complete(self._serve_link())
        except BaseException as error:  # noqa: BLE001 (without its link an instance is of no use)
            if not self._over:
                self._give_up(f"the link failed: {type(error).__name__}: {error}")

    async def _serve_link(self) -> None:
        self._closed = asyncio.Event()
        self._link = await open_link(self._request.link, _decoder, self._receive, self._lost)
        self._link.send(
            Join(os.environ.get("FREEHOLD_TOKEN", ""), PROTOCOL_VERSION, self._request.instance, os.getpid())
        )
        self._link.flush()  # alone: a long first frame is a stranger's
        self._outbox.attach(self._link)
        period = self._request.lease_s / 3
        while not self._closed.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), period)
            self._link.send(Beat(self._running()))

    def _running(self) -> list[Key]:
        return list(self._executor.running) if self._executor is not None else []

    def _receive(self, _link: Link[ToInstance], messages: list[ToInstance]) -> None:
        for message in messages:
            if type(message) is Execute:
                self._execute(message)
            else:
                self._other(message)

    def _execute(self, message: Execute) -> None:
        executor = self._executor
        if executor is None or self._leaving:
            self._outbox.post(Returned([(message.call, message.index, message.attempt)]))
            return
        executor.submit(message)
        due = time.monotonic() + message.timeout_s
        if due < self._check_at:
            self._check_later(due)

    def _other(self, message: ToInstance) -> None:
        executor = self._executor
        match message:
            case Recall() if executor is not None:
                self._outbox.post(Returned(executor.recall()))
            case CancelInput() if executor is not None:
                executor.cancel((message.call, message.index, message.attempt))
            case Consumed() if executor is not None:
                executor.consumed(message.call, message.count)
            case Release():
                self._codec.release(message.segments)
            case Drain():
                self._leave()
            case Refused():
                self._give_up(f"the server refused this instance: {message.message}")
            case Welcome() | _:
                pass

    def _check_later(self, due: float) -> None:
        """Look for inputs past their deadline at `due`; one timer, whatever the number of inputs."""
        if self._check is not None:
            self._check.cancel()
        self._check_at = due
        assert self._io is not None
        self._check = self._io.call_later(max(0.0, due - time.monotonic()) + 0.001, self._expire)

    def _expire(self) -> None:
        self._check, self._check_at = None, float("inf")
        if self._executor is None:
            return
        due = self._executor.expire(time.monotonic())
        self._check_later(due if due is not None else time.monotonic() + min(_CHECK_S, self._user.spec.timeout_s))

    def _leave(self) -> None:
        """Take nothing new, give back what is not begun, and let the main thread come to its end."""
        if self._leaving:
            return
        self._leaving = True
        if self._executor is not None:
            self._outbox.post(Returned(self._executor.recall()))
            self._executor.finish()

    async def _say_goodbye(self) -> None:
        self._over = True
        await self._outbox.drain()
        if self._link is not None:
            self._link.close()
        self._closed.set()

    def _lost(self, _link: Link[ToInstance], error: Exception | None) -> None:
        self._closed.set()
        if not self._over:
            self._give_up(f"the link to the server broke{f': {error}' if error else ''}")

    def _give_up(self, why: str) -> None:
        self._output.event("error", f"instance_leaves: {why}")
        output.flush()
        os._exit(LINK_LOST)


def _forked(request: Fork, user: UserCode, out: output.Output) -> "tuple[Gang | None, BaseException | None]":
    """The other ranks of a clustered function, or why there are none."""
    if user.spec.cluster_size == 1:
        return None, None
    from freehold.runner.gang import Gang

    gang = Gang(request, user, out)
    try:
        gang.fork()
    except (InvalidError, OSError) as error:  # told to the server, when there is a link
        return gang, error
    user.targets = gang.wrap(user.targets)
    return gang, None


def _as_any_process() -> None:
    """What user code forks ends at SIGTERM and Ctrl-C, as multiprocessing's pools count on."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(CANCEL_SIGNAL, signal.SIG_DFL)


def _take_environment(request: Fork) -> None:
    os.environ.update(request.env)
    threads.widen(request.threads)
    path = request.env.get("PYTHONPATH")
    if path:
        sys.path[1:1] = [p for p in path.split(os.pathsep) if p and p not in sys.path]


def _slots(user: UserCode) -> int:
    sizes = [t.batching.max_batch_size for t in user.targets.values() if t.batching is not None]
    return max(1, user.spec.concurrency.max_inputs, *sizes)


async def _settled(value: Any) -> Any:
    return await value
