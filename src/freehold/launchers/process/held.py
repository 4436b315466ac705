"""A running sandbox as the launcher sees it: started, told what to run, watched, ended whole. What comes out of it is not believed.

Like a warm parent it is spawned from the loop's own thread, since its death signal is bound to the thread that made it.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from freehold.core.errors import ConflictError, StartError
from freehold.core.listeners import Owned
from freehold.launchers.contract import SandboxCommand
from freehold.launchers.process.cgroup import Cgroup
from freehold.launchers.process.line import Line
from freehold.launchers.process.network import Uplink
from freehold.launchers.process.parents import tail

_READY_S = 20.0
# by path: no descriptor of a group must reach the sandbox
_JOIN = 'n=$1; shift; while [ "$n" -gt 0 ]; do echo 0 >"$1"; shift; n=$((n - 1)); done; exec "$@"'


@dataclass(frozen=True, kw_only=True)
class Cell:
    """How a sandbox is run."""

    argv: list[str]  # bubblewrap's; the warden's words come after it
    warden: Callable[[int], list[str]]  # of a descriptor: the warden's words
    output: Path  # where bubblewrap and the warden complain
    groups: tuple[Cgroup, ...]
    shared: bool = False  # its network is the machine's
    info_fd: int = -1  # of bubblewrap's, where its words name it


class Held:
    """One sandbox. `gone` is set when no process of it is left."""

    def __init__(self, cell: Cell) -> None:
        self._loop = asyncio.get_running_loop()
        self.gone = asyncio.Event()
        self.fault = ""  # why it was killed, when its own warden is the reason
        self._groups, self._output, self._shared = cell.groups, cell.output, cell.shared
        self._uplink: Uplink | None = None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = self._spawn(cell, theirs.fileno())
        self._line = Line(ours, "the sandbox", distrust=self._distrust, hung_up=_told_by_the_pidfd)
        self._pidfd, self._owned = os.pidfd_open(self._process.pid), Owned(self._process.pid)
        self._first: int | None = None  # pidfd of its first process, which ends after all others of its namespace
        self._loop.add_reader(self._pidfd, self._over)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ready(self) -> None:
        """Wait until it takes commands; StartError when it never does."""
        try:
            async with asyncio.timeout(_READY_S):
                warden = await asyncio.shield(self._line.ready)
        except TimeoutError:
            await self.kill()
            raise StartError(f"the sandbox was not ready within {_READY_S:g} s{self._last_words()}") from None
        with contextlib.suppress(ProcessLookupError):
            self._first = os.pidfd_open(warden) if warden and not self.gone.is_set() else None

    def join(self, uplink: Uplink) -> None:
        """Its way outside, which ends with it."""
        self._uplink = uplink
        if self.gone.is_set():
            uplink.close()

    async def run(self, command: SandboxCommand, fds: Sequence[int]) -> "tuple[int, asyncio.Future[int]]":
        return await self._line.run(command, fds)

    async def signal(self, number: int, signum: int) -> None:
        await self._line.signal(number, signum)

    async def resize(self, number: int, rows: int, columns: int) -> None:
        await self._line.resize(number, rows, columns)

    async def dial(self, port: int, fd: int) -> None:
        """Join a descriptor with a port in there; it is closed in there when nothing listens. ConflictError when that port is another's."""
        if self._shared and not await asyncio.to_thread(self._owned.leads_to, port):
            raise ConflictError(f"port {port} of the machine is not this sandbox's")
        await self._line.send({"do": "dial", "port": port}, (fd,))

    async def relay(self) -> None:
        """Have it take connections for the proxy, whose socket lies in its folder of sockets."""
        await self._line.send({"do": "relay"})

    async def kill(self) -> None:
        """Kill every process in it; none is left when this returns."""
        self.kill_now()
        await self.gone.wait()

    def kill_now(self) -> None:
        if self._process.returncode is None:
            for group in self._groups:
                group.kill()
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    # ---- how

    def _spawn(self, cell: Cell, fd: int) -> subprocess.Popen[bytes]:
        procs = [p for group in cell.groups for p in group.files()]
        join = ["/bin/sh", "-c", _JOIN, "sh", str(len(procs)), *procs]
        complaints = os.open(cell.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            return subprocess.Popen(
                [*join, *cell.argv, *cell.warden(fd)], stdin=subprocess.DEVNULL, stdout=complaints, stderr=complaints, env={},
                cwd="/", pass_fds=(fd, *((cell.info_fd,) if cell.info_fd >= 0 else ())), start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(complaints)

    def _distrust(self, why: str) -> None:
        if not self.fault:
            self.fault = why
            self.kill_now()

    def _over(self) -> None:
        if self._process.poll() is None:
            return
        self._loop.remove_reader(self._pidfd)
        self._line.receive()  # its last words
        if self._first is None:
            self._gone()
        else:  # bubblewrap that was killed does not wait for what it started
            self._loop.add_reader(self._first, self._gone)

    def _gone(self) -> None:
        if self._first is not None:
            self._loop.remove_reader(self._first)
            os.close(self._first)
        self.gone.set()
        if self._uplink is not None:
            self._uplink.close()
        if not self._line.ready.done():
            self._line.ready.set_exception(StartError(f"the sandbox did not start{self._last_words()}"))
            self._line.ready.exception()
        self._line.close()
        os.close(self._pidfd)
        self._remove()

    def _remove(self, tries: int = 10) -> None:
        left = [g for g in self._groups if not g.remove()]
        if left and tries:
            self._loop.call_later(0.2, self._remove, tries - 1)

    def _last_words(self) -> str:
        lines = tail(self._output)[-5:]
        return ":\n" + "\n".join(lines) if lines else ""


def _told_by_the_pidfd() -> None:
    """It ends; the pidfd tells when."""
