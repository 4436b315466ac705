"""Serves the control API on its Unix socket, in the server's own loop."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from freehold.protocol.link import MAX_FRAME_BYTES

_START_S = 0.001


class _Server(uvicorn.Server):
    """Leaves signals to whoever owns the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class ApiDoor:
    """Open it in the server's loop; only this user can dial the socket."""

    def __init__(self, app: ASGIApp, path: Path) -> None:
        self._app, self._path = app, path
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        sock = _bind(self._path)
        config = uvicorn.Config(
            self._app, lifespan="off", log_config=None, access_log=False, ws="websockets-sansio", http="httptools", loop="none",
            ws_max_size=MAX_FRAME_BYTES, ws_per_message_deflate=False, timeout_keep_alive=5, backlog=1024, server_header=False,
            proxy_headers=False,
        )  # fmt: skip
        server = self._server = _Server(config)
        self._task = asyncio.get_running_loop().create_task(server.serve(sockets=[sock]))
        while not server.started and not self._task.done():  # noqa: ASYNC110 (uvicorn has no event for it)
            await asyncio.sleep(_START_S)
        if self._task.done():
            await self._task

    async def close(self, *, grace_s: float = 0.0) -> None:
        """Take nothing new, let requests end for `grace_s`, then hang up."""
        if self._server is None or self._task is None:
            return
        grace: Any = max(grace_s, 0.05)  # uvicorn hands it to asyncio.wait_for
        self._server.config.timeout_graceful_shutdown = grace
        self._server.should_exit = True
        await self._task
        self._path.unlink(missing_ok=True)


def _bind(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(os.fspath(path))
    path.chmod(0o600)
    sock.listen(1024)
    sock.setblocking(False)
    return sock
