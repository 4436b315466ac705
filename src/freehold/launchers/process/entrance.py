"""The way into a running instance: a warden in its surroundings, which its warm parent's usher starts, runs the commands of its owner."""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from freehold.core.errors import ConflictError
from freehold.launchers.contract import SandboxCommand
from freehold.launchers.process.line import Line

_READY_S = 20.0
_WHERE = "the instance"


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a command in an instance starts from, as the instance itself did."""

    env: dict[str, str]
    workdir: str


class Entrance:
    """Commands in one instance. `gone` is set when they were ended: with the instance, or because the warden broke the rules."""

    def __init__(self, sock: socket.socket) -> None:
        self.gone = asyncio.Event()
        self.fault = ""
        self._line = Line(sock, _WHERE, distrust=self._distrust, hung_up=self.close)

    async def ready(self) -> None:
        """Wait until it takes commands; ConflictError when the instance ends first, or takes none."""
        try:
            async with asyncio.timeout(_READY_S):
                await asyncio.shield(self._line.ready)
        except TimeoutError:
            self.close()
            raise ConflictError(
                f"{_WHERE} took no command within {_READY_S:g} s: its processes may be stopped, or out of memory"
            ) from None

    async def run(self, command: SandboxCommand, fds: Sequence[int]) -> "tuple[int, asyncio.Future[int]]":
        return await self._line.run(command, fds)

    async def signal(self, number: int, signum: int) -> None:
        await self._line.signal(number, signum)

    async def resize(self, number: int, rows: int, columns: int) -> None:
        await self._line.resize(number, rows, columns)

    def close(self) -> None:
        """End the commands: the warden, which hears that the line is closed, kills all that came of them."""
        self._line.close()
        self.gone.set()

    # ---- how

    def _distrust(self, why: str) -> None:
        self.fault = self.fault or why
        self.close()


class Usher:
    """The launcher's end of a warm parent's usher."""

    def __init__(self) -> None:
        self._socket, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)

    def open(self, groups: Sequence[int]) -> Entrance:
        """Have a warden started, in these cgroups. ConflictError when the parent has ended."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                socket.send_fds(self._socket, [b"\0"], [theirs.fileno(), *groups])
        except OSError as error:
            ours.close()
            raise ConflictError(f"{_WHERE} has ended, or takes no more commands: {error.strerror}") from None
        return Entrance(ours)

    def close(self) -> None:
        self._socket.close()
        self.theirs.close()
