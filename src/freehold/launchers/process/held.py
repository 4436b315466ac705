"""A running sandbox as the launcher sees it: started, told what to run, watched, ended whole. What comes out of it is not believed.

Like a warm parent it is spawned from the loop's own thread, since its death signal is bound to the thread that made it.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from freehold.core.errors import ConflictError, StartError
from freehold.core.listeners import Owned
from freehold.launchers.contract import SandboxCommand
from freehold.launchers.process.cgroup import Cgroup
from freehold.launchers.process.network import Uplink
from freehold.launchers.process.parents import tail

_READY_S = 20.0
_PACKET_BYTES = 4096  # of what a warden says: an id and a number
_AT_ONCE = 64  # packets a turn: whoever floods us waits
# by path: no descriptor of a group must reach the sandbox
_JOIN = 'n=$1; shift; while [ "$n" -gt 0 ]; do echo 0 >"$1"; shift; n=$((n - 1)); done; exec "$@"'
_ENDED = "the sandbox has ended"


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a warden can say."""

    id: int = 0
    pid: int = 0
    code: int | None = None
    ready: bool = False


_decode = msgspec.json.Decoder(Said).decode


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
        self._last = 0
        self._started: dict[int, asyncio.Future[int]] = {}
        self._exits: dict[int, asyncio.Future[int]] = {}
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        with theirs:
            self._process = self._spawn(cell, theirs.fileno())
        self._pidfd, self._owned = os.pidfd_open(self._process.pid), Owned(self._process.pid)
        self._loop.add_reader(self._pidfd, self._over)
        self._loop.add_reader(self._socket.fileno(), self._receive)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ready(self) -> None:
        """Wait until it takes commands; StartError when it never does."""
        try:
            async with asyncio.timeout(_READY_S):
                await asyncio.shield(self._ready)
        except TimeoutError:
            await self.kill()
            raise StartError(f"the sandbox was not ready within {_READY_S:g} s{self._last_words()}") from None

    def join(self, uplink: Uplink) -> None:
        """Its way outside, which ends with it."""
        self._uplink = uplink
        if self.gone.is_set():
            uplink.close()

    async def run(self, command: SandboxCommand, fds: Sequence[int]) -> tuple[int, "asyncio.Future[int]"]:
        """Run a command over the child's ends of its pipes, which stay the caller's to close; its number, and its exit code to come."""
        self._check()
        self._last += 1
        number = self._last
        started = self._started[number] = self._loop.create_future()
        exited = self._exits[number] = self._loop.create_future()
        exited.add_done_callback(lambda f: f.cancelled() or f.exception())  # nobody has to ask
        body = os.memfd_create("freehold-command", os.MFD_CLOEXEC)
        try:
            os.write(body, _wire(command))
            await self._send({"do": "run", "id": number}, (body, *fds))
        except BaseException:
            self._started.pop(number, None)
            self._exits.pop(number, None)
            raise
        finally:
            os.close(body)
        await started
        return number, exited

    async def signal(self, number: int, signum: int) -> None:
        """Signal a command and what it started."""
        if number in self._exits:
            await self._send({"do": "signal", "id": number, "number": signum})

    async def resize(self, number: int, rows: int, columns: int) -> None:
        await self._send({"do": "size", "id": number, "rows": rows, "columns": columns})

    async def dial(self, port: int, fd: int) -> None:
        """Join a descriptor with a port in there; it is closed in there when nothing listens. ConflictError when that port is another's."""
        if self._shared and not await asyncio.to_thread(self._owned.leads_to, port):
            raise ConflictError(f"port {port} of the machine is not this sandbox's")
        await self._send({"do": "dial", "port": port}, (fd,))

    async def relay(self) -> None:
        """Have it take connections for the proxy, whose socket lies in its folder of sockets."""
        await self._send({"do": "relay"})

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

    async def _send(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        data = json.dumps(message).encode()
        while True:
            self._check()
            try:
                socket.send_fds(self._socket, [data], list(fds))
            except BlockingIOError:  # it is slow to take what we say
                await asyncio.sleep(0.005)
            except OSError as error:
                raise ConflictError(f"{_ENDED}: {error.strerror}") from None
            else:
                return

    def _check(self) -> None:
        if self.gone.is_set():
            raise ConflictError(_ENDED)

    def _receive(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                data = self._socket.recv(_PACKET_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:  # it ends; the pidfd tells when
                self._loop.remove_reader(self._socket.fileno())
                return
            self._hear(data)

    def _hear(self, data: bytes) -> None:
        try:
            said = _decode(data)
        except msgspec.DecodeError:
            self._distrust("its first process sent what is no message")
            return
        if said.ready and not self._ready.done():
            self._ready.set_result(None)
        elif said.code is not None and said.id in self._exits:
            _settle(self._started.pop(said.id, None), 0)
            _settle(self._exits.pop(said.id), said.code & 0xFF)
        elif said.code is None and said.id in self._started:
            _settle(self._started.pop(said.id), said.pid)
        else:
            self._distrust(f"its first process spoke of a command {said.id} that does not run")

    def _distrust(self, why: str) -> None:
        if not self.fault:
            self.fault = why
            self.kill_now()

    def _over(self) -> None:
        if self._process.poll() is None:
            return
        self._loop.remove_reader(self._pidfd)
        self._receive()  # its last words
        self._loop.remove_reader(self._socket.fileno())
        self.gone.set()
        if self._uplink is not None:
            self._uplink.close()
        if not self._ready.done():
            self._ready.set_exception(StartError(f"the sandbox did not start{self._last_words()}"))
            self._ready.exception()
        for future in self._started.values():
            if not future.done():
                future.set_exception(ConflictError(_ENDED))
        for future in self._exits.values():
            _settle(future, 128 + signal.SIGKILL)
        self._started.clear()
        self._exits.clear()
        self._socket.close()
        os.close(self._pidfd)
        self._remove()

    def _remove(self, tries: int = 10) -> None:
        left = [g for g in self._groups if not g.remove()]
        if left and tries:
            self._loop.call_later(0.2, self._remove, tries - 1)

    def _last_words(self) -> str:
        lines = tail(self._output)[-5:]
        return ":\n" + "\n".join(lines) if lines else ""


def _settle(future: "asyncio.Future[int] | None", value: int) -> None:
    if future is not None and not future.done():
        future.set_result(value)


def _wire(command: SandboxCommand) -> bytes:
    return json.dumps(
        {
            "argv": list(command.argv), "env": command.env, "cwd": command.workdir, "made": command.make_workdir,
            "terminal": list(command.terminal) if command.terminal else None, "tool": command.tool, "arguments": command.arguments,
        }
    ).encode()  # fmt: skip
