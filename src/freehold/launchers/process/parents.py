"""Warm parents as their launcher sees them: spawned, told to fork, watched through pidfds, ended with all that is below them.

A parent is spawned from the loop's own thread, since its death signal is bound to the thread that made it.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from freehold.core.errors import ConflictError, StartError
from freehold.launchers.contract import Exit
from freehold.launchers.process import keeper
from freehold.launchers.process.cgroup import Cgroup
from freehold.launchers.process.entrance import Entrance, Surroundings, Usher
from freehold.launchers.process.network import Uplink
from freehold.protocol import control
from freehold.protocol.control import Boot, Exited, Fork, Forked, FromParent, Gone, Here, Kill, Loaded, LoadFailed
from freehold.protocol.frames import RemoteFailure

_WORD_S = 0.25  # how long a parent may take to say how an instance ended
_KILL_S = 5.0  # after that the parent itself is ended
_SIGNALLED = 128
_LAST_LINES, _TAIL_BYTES = 10, 4096
# variables by which numeric libraries know how many threads they may have
THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
DIED = "its warm parent died"
_LACKING = (
    " in the function's image: add it with image.pip_install(…), or image.add_local_python_source(…) if it is yours"
)


@dataclass(eq=False)
class Live:
    """An instance that a parent made."""

    instance: str
    cgroup: Cgroup
    pid: int = 0
    pidfd: int = -1
    forked: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    told: bool = False  # its exit was reported
    surroundings: Surroundings | None = None  # known once it is told to fork
    entrance: Entrance | None = None  # since somebody entered it

    def enter(self, usher: Usher) -> Entrance:
        """The way in for commands."""
        if self.entrance is None or self.entrance.gone.is_set():
            groups = self.cgroup.open()
            try:
                self.entrance = usher.open(groups)
            finally:
                for fd in groups:
                    os.close(fd)
        return self.entrance

    def signal(self, number: int) -> None:
        if self.pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, number)

    def close(self) -> None:
        if self.pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self.pidfd)
            os.close(self.pidfd)
            self.pidfd = -1
        if self.entrance is not None:
            self.entrance.close()


@dataclass(frozen=True, kw_only=True)
class Command:
    """How a parent is run."""

    argv: list[str]
    env: dict[str, str]
    output: int  # descriptor: what the user's module prints while it loads
    output_path: Path
    cwd: Path
    workdir: str  # as it is seen in there
    kept: bool  # run under the keeper
    tree: Cgroup  # it and all that is below it
    passed: tuple[int, ...] = ()  # more descriptors that it inherits


class Parent:
    """One warm parent and its instances."""

    def __init__(
        self, command: Command, boot: Boot, *, exited: Callable[[Exit], None], ended: Callable[["Parent"], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._exited, self._ended = exited, ended
        self.instances: dict[str, Live] = {}
        self.here: asyncio.Future[None] = self._loop.create_future()
        self.loaded: asyncio.Future[Loaded] = self._loop.create_future()
        self.spent = False  # it became an instance itself
        self.retired = False
        self.gone = asyncio.Event()
        self.began = time.monotonic()
        self._lifeline = -1
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        with theirs:
            self._process = self._spawn(command, theirs.fileno())
        self._pidfd = os.pidfd_open(self._process.pid)
        self._loop.add_reader(self._pidfd, self._over)
        self._loop.add_reader(self._socket.fileno(), self._receive)
        self._tree, self._output = command.tree, command.output_path
        self._command, self._usher = command, Usher()
        self._uplink: Uplink | None = None
        self._boot = boot

    @property
    def pid(self) -> int:
        return self._process.pid

    def boot(self, uplink: Uplink | None = None) -> None:
        """Let it load the user's code: its network is there. Its way outside ends with it."""
        self._uplink = uplink
        if self.gone.is_set():
            self._unlink()
            return
        groups = self._tree.open()
        with contextlib.suppress(OSError):  # it has ended; the pidfd tells
            control.send(self._socket, self._boot, (self._usher.theirs.fileno(), *groups))
        self._usher.theirs.close()
        for group in groups:
            os.close(group)

    async def fork(self, request: Fork, live: Live, output: int) -> None:
        """Make an instance; it runs when this returns."""
        if self.gone.is_set():
            raise StartError(DIED)
        self.instances[live.instance] = live
        live.surroundings = self._surroundings(request)
        procs = live.cgroup.open()
        try:
            control.send(self._socket, request, (output, *procs))
        except OSError as error:
            raise StartError(f"{DIED}: {error}") from error
        finally:
            for fd in procs:
                os.close(fd)
        await live.forked

    async def enter(self, live: Live) -> tuple[Entrance, Surroundings]:
        """The way into an instance, and what a command in it starts from. ConflictError when it has ended."""
        if live.gone.is_set() or live.told or live.surroundings is None:
            raise ConflictError("the instance has ended")
        entrance = live.enter(self._usher)
        await entrance.ready()
        return entrance, live.surroundings

    async def kill(self, instance: str) -> None:
        """Kill an instance's whole tree and wait until it is gone."""
        live = self.instances.get(instance)
        if live is None:
            return
        live.signal(signal.SIGKILL)
        live.cgroup.kill()
        with contextlib.suppress(OSError):
            control.send(self._socket, Kill(instance))
        try:
            async with asyncio.timeout(_KILL_S):
                await live.gone.wait()
        except TimeoutError:
            await self.end()

    def retire(self) -> None:
        """End it when its last instance is gone."""
        self.retired = True
        self._end_if_idle()

    async def end(self) -> None:
        """Kill it and everything below it; nothing of it is left when this returns."""
        self.kill_now()
        await self.gone.wait()

    def kill_now(self) -> None:
        if self._process.returncode is not None:
            return
        self._tree.kill()
        for live in self.instances.values():
            live.signal(signal.SIGKILL)
        if self._lifeline >= 0:  # the keeper kills the tree and follows it
            os.close(self._lifeline)
            self._lifeline = -1
        else:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    # ---- how

    def _surroundings(self, request: Fork) -> Surroundings:
        env = self._command.env | request.env
        known, root = env.get("PYTHONPATH"), self._boot.root
        env["PYTHONPATH"] = f"{root}{os.pathsep}{known}" if known else root  # as the runner does for its own commands
        return Surroundings(env=env | dict.fromkeys(THREADS, str(request.threads)), workdir=self._command.workdir)

    def _spawn(self, command: Command, fd: int) -> subprocess.Popen[bytes]:
        argv, fds = [*command.argv, str(fd)], [fd, *command.passed]
        reader = -1
        if command.kept:
            reader, self._lifeline = os.pipe2(os.O_CLOEXEC)
            argv, fds = [sys.executable, "-I", "-S", keeper.__file__, str(reader), *argv], [*fds, reader]
        try:
            return subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=command.output, stderr=command.output, env=command.env,
                cwd=command.cwd, pass_fds=fds, start_new_session=True,
            )  # fmt: skip
        finally:
            if reader >= 0:
                os.close(reader)

    def _receive(self) -> None:
        while True:
            try:
                packet = control.receive_from_parent(self._socket)
            except BlockingIOError:
                return
            if packet is None:  # it ends; the pidfd tells when
                self._loop.remove_reader(self._socket.fileno())
                return
            self._take(*packet)

    def _take(self, message: FromParent, fds: list[int]) -> None:
        match message:
            case Here():
                if not self.here.done():
                    self.here.set_result(None)
            case Loaded():
                if not self.loaded.done():
                    self.loaded.set_result(message)
            case LoadFailed():
                self._fail(failed(message.failure))
            case Forked():
                self._forked(self.instances[message.instance], fds[0])
            case Exited():
                self._tell(message.instance, message.code, message.signal)
            case Gone():
                self._lost(message.instance)

    def _forked(self, live: Live, pidfd: int) -> None:
        live.pidfd, live.pid = pidfd, pid_of(pidfd)
        self._loop.add_reader(pidfd, self._died, live)
        if not live.forked.done():
            live.forked.set_result(None)

    def _died(self, live: Live) -> None:
        """The instance's own process ended; the parent says how, in a moment."""
        self._loop.remove_reader(live.pidfd)
        self._loop.call_later(_WORD_S, self._tell, live.instance, None, None)

    def _tell(self, instance: str, code: int | None, number: int | None, reason: str = "") -> None:
        live = self.instances.get(instance)
        if live is None or live.told:
            return
        live.told = True
        if not live.forked.done():
            live.forked.set_exception(
                StartError(f"the instance ended before it began{': ' + reason if reason else ''}")
            )
            live.forked.exception()
            return
        self._exited(Exit(instance=instance, code=code, signal=number, reason="oom" if live.cgroup.oom() else reason))

    def _lost(self, instance: str) -> None:
        """Nothing of an instance is left."""
        self._tell(instance, None, None)
        live = self.instances.pop(instance, None)
        if live is None:
            return
        live.close()
        live.gone.set()
        self._remove(live.cgroup)
        self._end_if_idle()

    def _remove(self, cgroup: Cgroup, tries: int = 5) -> None:
        if not cgroup.remove() and tries:
            self._loop.call_later(0.2, self._remove, cgroup, tries - 1)

    def _end_if_idle(self) -> None:
        if self.retired and not self.instances:
            self.kill_now()

    def _over(self) -> None:
        """The process that holds the whole tree has ended."""
        code = self._process.poll()
        if code is None:
            return
        self._loop.remove_reader(self._pidfd)
        with contextlib.suppress(OSError):
            self._receive()  # its last words
        self._loop.remove_reader(self._socket.fileno())
        self._fail(
            StartError(f"the process that loads the user's code {_ended(code)}; its output is in the instance's log")
        )
        for instance in list(self.instances):
            if self.spent:
                self._tell(instance, *_how(code))
            else:
                self._tell(instance, None, signal.SIGKILL, DIED)
            self._lost(instance)
        self._socket.close()
        self._usher.close()
        os.close(self._pidfd)
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        self._remove(self._tree)
        self._unlink()
        self.gone.set()
        self._ended(self)

    def _unlink(self) -> None:
        if self._uplink is not None:
            self._uplink.close()

    def _last_words(self) -> str:
        """The end of what it wrote, when it ended before it could speak."""
        if self.loaded.done():
            return ""
        raw = [line for line in tail(self._output) if not line.startswith("\x1e")]
        return ":\n" + "\n".join(raw[-_LAST_LINES:]) if raw else ""

    def _fail(self, error: Exception) -> None:
        for awaited in (self.here, self.loaded):
            if not awaited.done():
                awaited.set_exception(error)
                awaited.exception()


def failed(failure: RemoteFailure) -> StartError:
    """The error of a start, with the failure that crossed as `failure`."""
    name = failure.type.removeprefix("builtins.")
    fix = _LACKING if name == "ModuleNotFoundError" else ""
    error = StartError(f"{name}: {failure.message}{fix}\n{failure.traceback}".rstrip())
    error.failure = failure  # type: ignore[attr-defined]
    return error


def tail(path: Path) -> list[str]:
    """The last lines of a file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()
    except OSError:
        return []


def pid_of(pidfd: int) -> int:
    """The pid behind a pidfd, as our own pid namespace numbers it; 0 when it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines():
            if line.startswith("Pid:"):
                return max(0, int(line.split()[1]))
    return 0


def _how(code: int) -> tuple[int | None, int | None]:
    """Exit code and signal of a process that another one ran for us: that one's own code is 128 and the signal."""
    number = -code if code < 0 else code - _SIGNALLED if code > _SIGNALLED else None
    return (None, number) if number else (code, None)


def _ended(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
