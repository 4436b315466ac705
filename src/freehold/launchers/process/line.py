"""The launcher's end of a warden's socket: commands are asked for here, and how they ended is heard. What comes from a warden is not believed."""

import asyncio
import json
import os
import signal
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from freehold.core.errors import ConflictError
from freehold.launchers.contract import SandboxCommand

_PACKET_BYTES = 4096  # of what a warden says: an id and a number
_AT_ONCE = 64  # packets a turn: whoever floods us waits
_SENDER = struct.Struct("3i")  # as the kernel names it: pid, uid, gid
_SENDER_SPACE = socket.CMSG_SPACE(_SENDER.size)


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a warden can say."""

    id: int = 0
    pid: int = 0
    code: int | None = None
    ready: bool = False


_decode = msgspec.json.Decoder(Said).decode


class Line:
    """`where` is what commands run in, for messages; `distrust` is told when the warden breaks the rules, `hung_up` when it speaks no more."""

    def __init__(
        self, sock: socket.socket, where: str, *, distrust: Callable[[str], None], hung_up: Callable[[], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket, self._distrust, self._hung_up = sock, distrust, hung_up
        self._ended = f"{where} has ended"
        self.closed = False
        self.ready: asyncio.Future[int] = self._loop.create_future()  # the warden's pid
        self._last = 0
        self._started: dict[int, asyncio.Future[int]] = {}
        self._exits: dict[int, asyncio.Future[int]] = {}
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._loop.add_reader(sock.fileno(), self.receive)

    async def run(self, command: SandboxCommand, fds: Sequence[int]) -> "tuple[int, asyncio.Future[int]]":
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
            await self.send({"do": "run", "id": number}, (body, *fds))
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
            await self.send({"do": "signal", "id": number, "number": signum})

    async def resize(self, number: int, rows: int, columns: int) -> None:
        await self.send({"do": "size", "id": number, "rows": rows, "columns": columns})

    async def send(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        data = json.dumps(message).encode()
        while True:
            self._check()
            try:
                socket.send_fds(self._socket, [data], list(fds))
            except BlockingIOError:  # it is slow to take what we say
                await asyncio.sleep(0.005)
            except OSError as error:
                raise ConflictError(f"{self._ended}: {error.strerror}") from None
            else:
                return

    def receive(self) -> None:
        for _ in range(_AT_ONCE):
            if self.closed:
                return
            try:
                data, extra, _, _ = self._socket.recvmsg(_PACKET_BYTES, _SENDER_SPACE)
            except BlockingIOError:
                return
            except OSError:
                data, extra = b"", []
            if not data:
                self._loop.remove_reader(self._socket.fileno())
                self._hung_up()
                return
            self._hear(data, _sender(extra))

    def close(self) -> None:
        """Nothing more comes: what still ran was killed."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._socket.fileno())
        for future in (self.ready, *self._started.values()):
            if not future.done():
                future.set_exception(ConflictError(self._ended))
                future.exception()
        for future in self._exits.values():
            _settle(future, 128 + signal.SIGKILL)
        self._started.clear()
        self._exits.clear()
        self._socket.close()

    # ---- how

    def _check(self) -> None:
        if self.closed:
            raise ConflictError(self._ended)

    def _hear(self, data: bytes, sender: int) -> None:
        try:
            said = _decode(data)
        except msgspec.DecodeError:
            self._distrust("its first process sent what is no message")
            return
        if said.ready and not self.ready.done():
            self.ready.set_result(sender)
        elif said.code is not None and said.id in self._exits:
            _settle(self._started.pop(said.id, None), 0)
            _settle(self._exits.pop(said.id), said.code & 0xFF)
        elif said.code is None and said.id in self._started:
            _settle(self._started.pop(said.id), said.pid)
        else:
            self._distrust(f"its first process spoke of a command {said.id} that does not run")


def _sender(extra: "list[tuple[int, int, bytes]]") -> int:
    """The pid of whoever sent a packet, which the kernel has put to it; 0 when it has not."""
    found = [d for level, kind, d in extra if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS)]
    return int(_SENDER.unpack(found[0])[0]) if found else 0


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
