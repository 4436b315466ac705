"""Ways into a sandbox with a network of its own: a port of the machine's loopback for each of its ports."""

import asyncio
import contextlib
import socket

from freehold.launchers.contract import Sandbox

_HOST = "127.0.0.1"
_PIECE_BYTES = 65_536
_CONNECTIONS = 256


class Tunnel:
    """One port. `used` counts the connections that are open."""

    def __init__(self, sandbox: Sandbox, port: int) -> None:
        self._sandbox, self.port = sandbox, port
        self.used = 0
        self._open: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> int:
        """Listen; the machine's port."""
        self._server = await asyncio.start_server(self._serve, _HOST, 0)
        return self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._open) >= _CONNECTIONS:
            writer.close()
            return
        self._open.add(task)
        self.used += 1
        try:
            await self._join(reader, writer)
        except Exception:  # noqa: BLE001, S110 (either side left, or the sandbox ended)
            pass
        finally:
            self.used -= 1
            self._open.discard(task)
            writer.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            await self._sandbox.dial(self.port, theirs.fileno())
        inner, inner_writer = await asyncio.open_connection(sock=ours)
        try:
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner, writer))
        finally:
            inner_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE_BYTES):
        writer.write(piece)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
