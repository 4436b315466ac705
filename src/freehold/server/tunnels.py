"""Tunnels: ports of what runs here, opened on the server's own address. Bytes go both ways unread, TCP whatever they are."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from freehold.core.errors import ConflictError, Error, InvalidError, NotFoundError, PermissionDeniedError
from freehold.core.listeners import Owned, holder
from freehold.protocol.schemas import TunnelView
from freehold.server.dispatch.instance import Instance
from freehold.server.inside import connect_inside

log = logging.getLogger("freehold.tunnels")
Dial = Callable[[int], Awaitable[socket.socket]]  # a connection to this port of the owner
_BUFFERED_BYTES = 256 * 1024
_BACKLOG = 512
_CONNECT_TIMEOUT_S = 5.0


@dataclass(eq=False)
class _Tunnel:
    server: asyncio.Server
    view: TunnelView
    pipes: "set[_End]" = field(default_factory=set["_End"])


class Tunnels:
    """By owner, an instance's id, and port. Whoever opens one closes it; all of an owner's end with it."""

    def __init__(self, *, host: str, shown: str, instance: Callable[[str], Instance | None]) -> None:
        self._host, self._shown, self._instance = host, shown, instance
        self._open: dict[str, dict[int, _Tunnel]] = {}

    # ---- for the API

    async def open_for(self, who: str, workspace: str, instance_id: str, port: int) -> TunnelView:
        """Open a port of an instance. `who` asks: an instance opens its own ports alone."""
        instance = self._instance(instance_id)
        if instance is None or instance.pool.workspace != workspace:
            raise NotFoundError(f"no instance {instance_id!r} runs; `freehold instance list` shows those that do")
        if who.startswith("in-") and who != instance_id:
            raise PermissionDeniedError(f"instance {who} opens no port of another one")
        if not 1 <= port <= 65535:
            raise InvalidError(f"port={port} is not between 1 and 65535")
        if instance.porter is None and instance.pid:
            await _refuse_foreign(Owned(instance.pid), port)
            if self._instance(instance_id) is not instance:
                raise NotFoundError(f"instance {instance_id!r} has ended")
        return await self.open(instance_id, port, dial_of(instance))

    async def close_for(self, who: str, workspace: str, instance_id: str, port: int) -> None:
        instance = self._instance(instance_id)
        if instance is None or instance.pool.workspace != workspace:
            return  # it has ended, and its tunnels with it
        if who.startswith("in-") and who != instance_id:
            raise PermissionDeniedError(f"instance {who} closes no port of another one")
        self.close(instance_id, port)

    # ---- for whoever runs something

    async def open(self, owner: str, port: int, dial: Dial) -> TunnelView:
        """Listen for a port of `owner`; ConflictError when it is open already."""
        tunnels = self._open.setdefault(owner, {})
        self._refuse_open(tunnels, port)
        pipes = set[_End]()
        listener = socket.create_server(
            (self._host, 0), family=socket.AF_INET6 if ":" in self._host else socket.AF_INET, backlog=_BACKLOG
        )
        view = TunnelView(port=port, host=self._shown, host_port=listener.getsockname()[1])
        server = await asyncio.get_running_loop().create_server(lambda: _End(pipes, lambda: dial(port)), sock=listener)
        try:  # another may have been quicker, and the owner may have ended, while the server was made
            if self._open.get(owner) is not tunnels:
                raise NotFoundError(f"{owner} has ended")
            self._refuse_open(tunnels, port)
        except Error:
            server.close()
            raise
        tunnels[port] = _Tunnel(server, view, pipes)
        return view

    def _refuse_open(self, tunnels: dict[int, _Tunnel], port: int) -> None:
        if port in tunnels:
            view = tunnels[port].view
            raise ConflictError(f"port {port} is forwarded already, to {view.host}:{view.host_port}")

    def close(self, owner: str, port: int) -> None:
        """Take no more connections, and end those that there are."""
        tunnel = self._open.get(owner, {}).pop(port, None)
        if tunnel is None:
            return
        tunnel.server.close()
        for end in list(tunnel.pipes):
            end.abort()

    def ended(self, owner: str) -> None:
        """An owner is gone, and its tunnels with it."""
        for port in list(self._open.get(owner, {})):
            self.close(owner, port)
        self._open.pop(owner, None)

    def close_all(self) -> None:
        for owner in list(self._open):
            self.ended(owner)


def dial_of(instance: Instance) -> Dial:
    """How a port of an instance is reached: through its porter where its network is its own; on the machine's, where it is its own that listens."""
    owned = Owned(instance.pid) if instance.pid else None

    async def dial(port: int) -> socket.socket:
        if instance.porter is not None:
            return await connect_inside(f"{instance.porter}:{port}")
        if owned is not None and not await asyncio.to_thread(owned.leads_to, port):
            raise ConnectionRefusedError(f"nothing of the instance listens on port {port}")
        return await _connect(port)

    return dial


async def _refuse_foreign(owned: Owned, port: int) -> None:
    who = await asyncio.to_thread(holder, port)
    if who is not None and not await asyncio.to_thread(owned.leads_to, port):
        raise ConflictError(
            f"port {port} of this machine is held by {who}, not by this instance, which shares the machine's network: take another port"
        )


async def _connect(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    except BaseException:
        sock.close()
        raise
    return sock


class _End(asyncio.Protocol):
    """One end of a pipe: the caller's, which dials the other one, or the other one."""

    def __init__(self, pipes: "set[_End]", dial: Callable[[], Awaitable[socket.socket]] | None = None) -> None:
        self._pipes, self._dial = pipes, dial
        self._transport: asyncio.Transport = None  # type: ignore[assignment] (set by connection_made)
        self._other: _End | None = None
        self._task: asyncio.Task[None] | None = None
        self._early: list[bytes] = []
        self._ended = self._eof = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._transport.set_write_buffer_limits(high=_BUFFERED_BYTES)
        self._pipes.add(self)
        if self._dial is not None:
            self._transport.pause_reading()
            self._task = asyncio.get_running_loop().create_task(self._join(self._dial))

    async def _join(self, dial: Callable[[], Awaitable[socket.socket]]) -> None:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                sock = await dial()
            _, other = await asyncio.get_running_loop().create_connection(lambda: _End(self._pipes), sock=sock)
        except (OSError, TimeoutError, Error):  # nothing listens there: the caller sees its connection end
            self.abort()
            return
        self._other, other._other = other, self
        if self._ended:
            other.abort()
            return
        other._transport.writelines(self._early)
        if self._eof:
            self.eof_received()
        self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._other is None:
            self._early.append(data)  # reading is paused, but a loop may have begun to
        else:
            self._other._transport.write(data)

    def eof_received(self) -> bool:
        self._eof = True
        if self._other is not None and self._other._transport.can_write_eof():
            with contextlib.suppress(OSError, RuntimeError):
                self._other._transport.write_eof()
        return True  # the other way may go on

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._pipes.discard(self)
        if self._other is not None:
            (self._other._transport.close if exc is None else self._other._transport.abort)()

    def pause_writing(self) -> None:
        if self._other is not None and not self._other._transport.is_closing():
            self._other._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._other is not None and not self._other._transport.is_closing():
            self._other._transport.resume_reading()

    def abort(self) -> None:
        self._ended = True
        self._transport.abort()
