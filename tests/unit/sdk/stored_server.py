"""The real control API with real dicts and queues in a thread of this process, for the SDK's Dict and Queue."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.unit.api.conftest import TOKEN, World

from freehold.sdk.client import Client, use
from freehold.sdk.config import Target
from freehold.server.api.door import ApiDoor


class StoredServer:
    """One home; `start` and `stop` as often as a test wants."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "api.sock"
        self.target = Target(api=f"unix:{self.socket}", link="unix:none", token=TOKEN, token_source="a test")

    def start(self) -> None:
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), daemon=True)
        self._thread.start()
        assert started.wait(10)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)

    def run(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Do something on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work(), self.loop).result(10)

    async def _serve(self, started: threading.Event) -> None:
        self.loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        world = self.world = World(self.folder, max_body_bytes=1 << 26)
        await world.store.open()
        await world.dicts.open()
        await world.queues.open()
        door = ApiDoor(world.app(), self.socket)
        await door.open()
        started.set()
        await self._stopping.wait()
        world.queues.release()
        await door.close(grace_s=0.2)
        await world.queues.close()
        await world.store.close()


@contextmanager
def serving(folder: Path) -> Generator[StoredServer, None, None]:
    """A server, and a client of it for this process."""
    server = StoredServer(folder)
    server.start()
    client = Client(server.target)
    use(client)
    try:
        yield server
    finally:
        client.close()
        use(None)
        server.stop()
