"""A clustered function: one instance, whose process forks the other ranks. Rank 0 has the link; it hands every input to all, and ends
an attempt when one of them fails.
"""

import asyncio
import contextlib
import gc
import hashlib
import inspect
import os
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import Any, NoReturn, cast

import cloudpickle

from freehold.core.errors import ExecutionError, InvalidError
from freehold.protocol.control import Fork
from freehold.runner import output, process, threads
from freehold.runner.load import Target, UserCode
from freehold.sdk import cluster, context
from freehold.sdk.cluster import ClusterInfo
from freehold.sdk.serialization import failure

_FAILED_SIGNAL = signal.SIGRTMIN + 6  # to the main thread of rank 0: another rank has failed
_LEAVE_S = 10.0  # for the exit hooks of the other ranks
_dumps: Callable[[Any], bytes] = cast("Any", cloudpickle).dumps
_READY, _DONE, _RAISED = "ready", "done", "raised"


class Gang:
    """Rank 0's view of the others."""

    def __init__(self, request: Fork, user: UserCode, out: output.Output) -> None:
        self._request, self._user, self._output = request, user, out
        self._size = user.spec.cluster_size
        self._ranks: dict[Connection, tuple[int, int]] = {}  # rank, pid
        self._failure: BaseException | None = None
        self._watching = self._broken = False

    def fork(self) -> None:
        """Make the other ranks; this process is rank 0. Before any thread is started here."""
        if process.thread_count() > 1:
            msg = f"{self._user.spec.name!r} is clustered, and its code starts threads while it is loaded: start them in an @enter hook, or in the function"
            raise InvalidError(msg)
        for rank in range(1, self._size):
            ours, theirs = (Connection(s.detach()) for s in socket.socketpair())
            pid = os.fork()
            if pid == 0:
                ours.close()
                for connection in self._ranks:
                    connection.close()
                self._live(rank, theirs)
            theirs.close()
            self._ranks[ours] = rank, pid
        self._become(0)

    def wait_ready(self) -> None:
        """Until the hooks of every rank have run; raises what one of them raised."""
        self._settle(self._collect)

    def wrap(self, targets: dict[str, Target]) -> dict[str, Target]:
        """The targets of rank 0, each of which runs on all ranks."""
        return {
            name: t if t.web is not None else replace(t, call=self._everywhere(name, t)) for name, t in targets.items()
        }

    def leave(self) -> None:
        """Let the other ranks run their exit hooks and end; those that do not are killed."""
        for connection in self._ranks:
            connection.close()
        waiting = {pid for _, pid in self._ranks.values()}
        late = threading.Timer(0.0 if self._broken else _LEAVE_S, _kill, [waiting])
        late.start()
        for pid in list(waiting):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
            waiting.discard(pid)
        late.cancel()

    # ---- rank 0

    def _everywhere(self, method: str, target: Target) -> Callable[..., Any]:
        if target.is_async:

            async def call_async(*args: Any, **kwargs: Any) -> Any:
                self._hand_out(method, args, kwargs)
                return await self._together(target.call(*args, **kwargs))

            return call_async

        def call(*args: Any, **kwargs: Any) -> Any:
            self._hand_out(method, args, kwargs)
            return self._settle(lambda: self._with_watch(lambda: target.call(*args, **kwargs)))

        return call

    def _hand_out(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        order = _dumps((method, args, kwargs, context.current_input_id() or ":0"))
        for connection, (rank, _) in self._ranks.items():
            try:
                connection.send_bytes(order)
            except OSError as error:
                self._break()
                raise ExecutionError(f"rank {rank} of the cluster has ended") from error

    def _with_watch(self, work: Callable[[], Any]) -> Any:
        """Run rank 0's part in the main thread, which a signal interrupts when another rank fails."""
        self._failure, self._watching = None, True
        watch = threading.Thread(target=self._watch, args=[threading.get_ident()], name="freehold-gang", daemon=True)
        signal.signal(_FAILED_SIGNAL, self._on_failed)
        try:
            watch.start()
            value = work()
            watch.join()
        finally:
            self._watching = False
        if self._failure is not None:
            raise self._failure
        return value

    def _watch(self, main: int) -> None:
        try:
            self._collect()
        except BaseException as error:  # noqa: BLE001 (it is raised in the main thread)
            self._failure = error
            signal.pthread_kill(main, _FAILED_SIGNAL)

    def _on_failed(self, *_: object) -> None:
        if self._watching and self._failure is not None:
            raise self._failure

    async def _together(self, mine: Any) -> Any:
        loop = asyncio.get_running_loop()
        own, others = asyncio.ensure_future(mine), loop.run_in_executor(None, self._collect)
        try:
            await asyncio.wait({own, others}, return_when=asyncio.FIRST_EXCEPTION)
            if others.done():
                others.result()
            return await own
        except BaseException:
            own.cancel()
            self._break()
            raise

    def _settle(self, work: Callable[[], Any]) -> Any:
        """What `work` gives; when it fails or is cancelled, the ranks that still run are ended, and the instance with them."""
        try:
            return work()
        except BaseException:
            self._break()
            raise

    def _collect(self) -> None:
        """One word of every other rank; raises what the first one that failed raised."""
        waiting = dict(self._ranks)
        while waiting:
            for connection in wait(list(waiting)):
                assert isinstance(connection, Connection)
                rank, pid = waiting.pop(connection)
                try:
                    word, *rest = cloudpickle.loads(connection.recv_bytes())
                except (EOFError, OSError):
                    raise ExecutionError(f"rank {rank} of the cluster died: {_how(pid)}") from None
                if word == _RAISED:
                    raise _rebuilt(rank, *rest)

    def _break(self) -> None:
        """Nothing can be said of the ranks' state any more: a fresh instance takes this one's place."""
        if not self._broken:
            self._broken = True
            _kill({pid for _, pid in self._ranks.values()})
            os.kill(os.getpid(), signal.SIGTERM)

    # ---- the other ranks

    def _live(self, rank: int, link: Connection) -> NoReturn:
        """The whole life of a rank that is not the first."""
        process.die_with_parent()
        gc.enable()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._become(rank)
        code = 1
        try:
            with asyncio.Runner() as runner:
                self._serve(link, runner)
            code = 0
        except BaseException as error:  # noqa: BLE001 (the edge of the process)
            self._output.line("stderr", failure(error).traceback.rstrip())
        finally:
            output.flush()
            os._exit(code)

    def _serve(self, link: Connection, runner: asyncio.Runner) -> None:
        if not self._report(link, lambda: self._run_hooks("enter", runner), _READY):
            return
        while True:
            try:
                order = link.recv_bytes()
            except (EOFError, OSError):
                break
            if not self._report(link, lambda order=order: self._obey(order, runner), _DONE):
                return
        self._run_hooks("exit", runner)

    def _obey(self, order: bytes, runner: asyncio.Runner) -> None:
        method, args, kwargs, where = cloudpickle.loads(order)
        call, _, index = where.rpartition(":")
        tokens = context.enter_input(call, int(index))
        self._output.only_call = call
        try:
            made = self._user.targets[method].call(*args, **kwargs)
            if inspect.isawaitable(made):
                runner.run(_settled(made))
        finally:
            context.leave_input(tokens)
            output.flush()

    def _report(self, link: Connection, work: Callable[[], None], done: str) -> bool:
        try:
            work()
            word: tuple[Any, ...] = (done,)
        except BaseException as error:  # noqa: BLE001 (whatever user code raises crosses)
            word = (_RAISED, _pickled(error), failure(error).traceback)
        with contextlib.suppress(OSError):  # rank 0 is gone
            link.send_bytes(_dumps(word))
        return word[0] == done

    def _run_hooks(self, kind: Any, runner: asyncio.Runner) -> None:
        for hook in self._user.hooks.get(kind, []):
            made = hook()
            if inspect.isawaitable(made):
                runner.run(_settled(made))

    # ---- every rank

    def _become(self, rank: int) -> None:
        """Tell this process what it is: its rank, its addresses, its share of the devices and cores."""
        instance, size = self._request.instance, self._size
        ips = addresses(instance, size)
        cluster.enter(ClusterInfo(rank, f"cu-{instance.removeprefix('in-')}", ips, list(ips), []))
        os.environ["MODAL_TASK_ID"] = cluster.container_id(instance, rank)
        for name in ("CUDA_VISIBLE_DEVICES", "FREEHOLD_DEVICES_GIVEN"):
            os.environ[name] = share(os.environ.get(name, ""), rank, size)
        for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME", "TP_SOCKET_IFNAME"):
            os.environ.setdefault(name, "lo")  # where their addresses are
        threads.widen(max(1, self._request.threads // size))


def addresses(instance: str, size: int) -> list[str]:
    """One a rank, all of the machine's loopback; two clusters hardly share them."""
    first, second = hashlib.sha256(instance.encode()).digest()[:2]
    return [f"127.{16 + first % 224}.{second}.{rank + 1}" for rank in range(size)]


def share(devices: str, rank: int, size: int) -> str:
    """A rank's part of a list with commas."""
    given = [d for d in devices.split(",") if d]
    each = len(given) // size
    return ",".join(given[rank * each : (rank + 1) * each])


def _rebuilt(rank: int, pickled: bytes, traceback: str) -> BaseException:
    error: BaseException = ExecutionError(f"rank {rank} of the cluster failed")
    with contextlib.suppress(Exception):
        error = cloudpickle.loads(pickled)
    error.add_note(f"on rank {rank} of the cluster:\n{traceback.rstrip()}")
    return error


def _pickled(error: BaseException) -> bytes:
    with contextlib.suppress(Exception):
        return _dumps(error)
    return b""


def _how(pid: int) -> str:
    with contextlib.suppress(ChildProcessError):
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return f"killed by signal {-code}" if code < 0 else f"it exited with code {code}"
    return "it has ended"


def _kill(pids: set[int]) -> None:
    for pid in list(pids):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def _settled(value: Any) -> Any:
    return await value
