"""Tunnels: a port of an instance, reached from outside by an address of the server's own."""

import os
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from freehold.core.errors import InvalidError
from freehold.sdk import checks
from freehold.sdk.context import is_local
from freehold.sdk.faces import blocking, drive, drive_async

if TYPE_CHECKING:
    from freehold.protocol.schemas import TunnelView


@dataclass(frozen=True)
class Tunnel:
    """Where a forwarded port is reached. The server passes TCP on as it comes: it speaks no TLS of its own."""

    host: str
    port: int
    unencrypted_host: str = ""
    unencrypted_port: int = 0

    @property
    def url(self) -> str:
        """For a port that speaks HTTP."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def tls_socket(self) -> tuple[str, int]:
        """Host and port; TLS is there if the program itself speaks it."""
        return self.host, self.port

    @property
    def tcp_socket(self) -> tuple[str, int]:
        """Host and port of a tunnel made with `unencrypted=True`."""
        if not self.unencrypted_host:
            raise InvalidError("this tunnel was not opened for plain TCP: use forward(PORT, unencrypted=True)")
        return self.unencrypted_host, self.unencrypted_port


def tunnel_of(view: "TunnelView", *, unencrypted: bool = False) -> Tunnel:
    """A tunnel as the server told of it."""
    plain = (view.host, view.host_port) if unencrypted else ("", 0)
    return Tunnel(view.host, view.host_port, *plain)


class Forwarding:
    """`with forward(8000) as tunnel:`, or `async with`; closed when the block or the instance ends."""

    def __init__(self, port: int, *, unencrypted: bool, h2_enabled: bool) -> None:
        checks.port(port, "forward", example="forward(8000)")
        if h2_enabled and unencrypted:
            raise InvalidError(
                "forward(h2_enabled=True, unencrypted=True): HTTP/2 is for encrypted tunnels; give one of them"
            )
        if is_local():
            raise InvalidError("forward() opens ports of instances: call it in a function that runs in one")
        self._port, self._unencrypted = port, unencrypted
        self._path = f"/v1/instances/{os.environ['FREEHOLD_INSTANCE_ID']}/tunnels"

    def __enter__(self) -> Tunnel:
        return drive(self._start())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        drive(self._stop())

    async def __aenter__(self) -> Tunnel:
        return await drive_async(self._start())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await drive_async(self._stop())

    async def _start(self) -> Tunnel:
        from freehold.protocol.schemas import TunnelRequest, TunnelView
        from freehold.sdk import client

        api, request = client.current().api, TunnelRequest(port=self._port)
        view = await blocking(api.send, "POST", self._path, request, TunnelView)
        return tunnel_of(view, unencrypted=self._unencrypted)

    async def _stop(self) -> None:
        from freehold.sdk import client

        await blocking(client.current().api.act, "DELETE", f"{self._path}/{self._port}")


class _Forward:
    """`forward(...)`, and `forward.aio(...)`, which is the same."""

    def __call__(
        self, port: int, *, unencrypted: bool = False, h2_enabled: bool = False, client: object = None
    ) -> Forwarding:
        """Open a port of this instance on the server's address while the block runs."""
        del client  # one client a process
        return Forwarding(port, unencrypted=unencrypted, h2_enabled=h2_enabled)

    aio = __call__


forward = _Forward()
