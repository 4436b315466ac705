"""The listening sockets of the ingress, and its one timer."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable

from freehold.core.errors import ConflictError, InvalidError
from freehold.server.ingress.contract import IngressConfig, RequestRecord, Router
from freehold.server.ingress.exchange import Gate
from freehold.server.ingress.front import Front, front_factory
from freehold.server.ingress.upstream import UpstreamPool

_SWEEP_S = 0.5


class Ingress:
    """Open it in the server's loop; `listen` and `unlisten` follow what is deployed."""

    def __init__(
        self, router: Router, config: IngressConfig, *, on_request: Callable[[RequestRecord], None] = lambda _: None
    ) -> None:
        self.port = config.port  # the real one, once open
        self._config = config
        self._router, self._on_request = router, on_request
        self._gate: Gate | None = None
        self._fronts: set[Front] = set()
        self._main: asyncio.Server | None = None
        self._endpoints: dict[int, asyncio.Server] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Bind the main listener. Raises ConflictError when its port is taken."""
        gate = self._gate = Gate(
            router=self._router, config=self._config, upstreams=UpstreamPool(), on_request=self._on_request
        )
        self._main = await self._serve_on(gate, self._config.port, None)
        self.port = self._main.sockets[0].getsockname()[1]
        self._sweeper = gate.loop.call_later(_SWEEP_S, self._sweep)

    async def listen(self, port: int) -> int:
        """Listen on an endpoint's own port (0: any free one) and return it. Raises ConflictError when it is taken."""
        if self._gate is None or self._gate.draining:
            msg = "the ingress is not open"
            raise ConflictError(msg)
        if port in self._endpoints:
            return port
        sock = _bind(self._config.host, port, self._config.backlog)
        bound: int = sock.getsockname()[1]
        self._endpoints[bound] = await self._serve(self._gate, sock, bound)
        return bound

    async def listen_on(self, sock: socket.socket, endpoint: int | None) -> asyncio.Server:
        """Serve an endpoint (None: as the main listener) on one more socket that listens; whoever gave it closes the server."""
        if self._gate is None or self._gate.draining:
            sock.close()
            msg = "the ingress is not open"
            raise ConflictError(msg)
        return await self._serve(self._gate, sock, endpoint)

    async def unlisten(self, port: int) -> None:
        """Take no more requests on this port; those that run go on."""
        server = self._endpoints.pop(port, None)
        if server is not None:
            server.close()

    @property
    def connections(self) -> int:
        return len(self._fronts)

    async def close(self, *, grace_s: float = 0.0) -> None:
        """Take nothing new, let what runs end for `grace_s`, then hang up."""
        gate = self._gate
        if gate is None:
            return
        gate.draining = True
        for server in (self._main, *self._endpoints.values()):
            if server is not None:
                server.close()
        self._endpoints.clear()
        for front in [f for f in self._fronts if f.idle]:
            front.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s or 0.05):
                while self._fronts:  # noqa: ASYNC110 (once, at the end)
                    await asyncio.sleep(0.01)
        for front in list(self._fronts):
            front.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()
        gate.upstreams.close()
        await asyncio.sleep(0)

    async def _serve_on(self, gate: Gate, port: int, endpoint: int | None) -> asyncio.Server:
        return await self._serve(gate, _bind(self._config.host, port, self._config.backlog), endpoint)

    async def _serve(self, gate: Gate, sock: socket.socket, endpoint: int | None) -> asyncio.Server:
        factory = front_factory(gate, self._fronts, port=endpoint)
        return await gate.loop.create_server(factory, sock=sock, backlog=self._config.backlog)

    def _sweep(self) -> None:
        gate = self._gate
        if gate is None:
            return
        now = gate.loop.time()
        for front in list(self._fronts):
            front.sweep(now)
        gate.upstreams.sweep()
        self._sweeper = gate.loop.call_later(_SWEEP_S, self._sweep)


def _bind(host: str, port: int, backlog: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(backlog)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            msg = f"port {port} on {host} is in use by another program; stop it, or choose another with --port"
            raise ConflictError(msg) from error
        msg = f"cannot listen on {host}:{port}: {error.strerror}"
        raise InvalidError(msg) from error
    return sock
