"""Ways into a sandbox with a network of its own: a port of the machine's loopback for each of its ports."""

import asyncio
import contextlib
import socket

from freehold.launchers.contract import Sandbox
from freehold.server.sandboxes.connections import Connections, join

_HOST = "127.0.0.1"
_CONNECTIONS = 256


class Tunnel:
    """One port."""

    def __init__(self, sandbox: Sandbox, port: int) -> None:
        self._sandbox, self.port = sandbox, port
        self._connections = Connections()
        self._server: asyncio.Server | None = None

    @property
    def used(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    async def open(self) -> int:
        """Listen; the machine's port."""
        self._server = await asyncio.start_server(self._serve, _HOST, 0)
        return self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._connections.end()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.used >= _CONNECTIONS:
            writer.close()
            return
        with self._connections.served(writer), contextlib.suppress(Exception):  # either side left, or the sandbox ended
            await self._join(reader, writer)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            await self._sandbox.dial(self.port, theirs.fileno())
        await join((reader, writer), await asyncio.open_connection(sock=ours))
