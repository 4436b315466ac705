"""Connections into the networks of instances, asked of their porters (`runner.porter`): open sockets come back over a Unix socket."""

import asyncio
import socket

_ANSWER_BYTES = 512


async def connect_inside(where: str) -> socket.socket:
    """A TCP connection to `PATH:PORT`: a porter's socket, and a port of its instance. OSError where nothing listens there."""
    path, _, port = where.rpartition(":")
    return await _ask(path, f"connect {port}")


async def listen_inside(path: str, port: int) -> socket.socket:
    """A socket that listens on a port of an instance's loopback. OSError where something does already."""
    return await _ask(path, f"listen {port}")


async def _ask(path: str, request: str) -> socket.socket:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as porter:
        porter.setblocking(False)
        await loop.sock_connect(porter, path)
        await loop.sock_sendall(porter, request.encode())
        await _readable(porter)
        said, fds, _, _ = socket.recv_fds(porter, _ANSWER_BYTES, 1)
    if not fds:
        raise ConnectionRefusedError(said[1:].decode(errors="replace") or "the instance hung up")
    given = socket.socket(fileno=fds[0])
    given.setblocking(False)
    return given


async def _readable(sock: socket.socket) -> None:
    loop, come = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
    loop.add_reader(sock, lambda: come.done() or come.set_result(None))
    try:
        await come
    finally:
        loop.remove_reader(sock)
