"""The platform's addresses inside the networks of instances: `http://127.0.0.1:PORT` means there what it means on the machine."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from weakref import WeakKeyDictionary

from freehold.core.errors import ConflictError
from freehold.server.dispatch.instance import Instance
from freehold.server.ingress.listeners import Ingress
from freehold.server.inside import listen_inside


class Hatches:
    """Opened when an instance with a network of its own joins. `ports()`: those of endpoints that there are then."""

    def __init__(self, ingress: Ingress, ports: Callable[[], Iterable[int]]) -> None:
        self._ingress, self._ports = ingress, ports
        self._servers: WeakKeyDictionary[Instance, list[asyncio.Server]] = WeakKeyDictionary()
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, instance: Instance) -> None:
        """Listen inside; instances whose network is blocked have none of it."""
        if instance.porter is None or instance.pool.spec.block_network or instance in self._servers:
            return
        servers = self._servers[instance] = []
        task = asyncio.get_running_loop().create_task(self._open(instance, str(instance.porter), servers))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self, instance: Instance, porter: str, servers: list[asyncio.Server]) -> None:
        own = instance.pool.spec.ports()
        wanted = [(self._ingress.port, None), *((port, port) for port in self._ports())]
        for port, endpoint in wanted:
            if port in own:
                continue
            with contextlib.suppress(OSError, ValueError, ConflictError):  # its program has the port, or has ended
                sock = await listen_inside(porter, port)
                servers.append(await self._ingress.listen_on(sock, endpoint))
            if instance not in self._servers:  # it has ended meanwhile
                self._end(servers)
                return

    def close(self, instance: Instance) -> None:
        self._end(self._servers.pop(instance, []))

    def _end(self, servers: list[asyncio.Server]) -> None:
        while servers:
            servers.pop().close()
