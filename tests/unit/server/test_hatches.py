"""Hatches: opened in instances with a network of their own, and gone with them."""

import asyncio
import socket
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.unit.server.harness import until

from freehold.server import hatches
from freehold.server.hatches import Hatches


class Server:
    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Ingress:
    """Takes its time to listen."""

    port = 8000

    def __init__(self) -> None:
        self.asked, self.may = asyncio.Event(), asyncio.Event()
        self.made: list[Server] = []

    async def listen_on(self, sock: socket.socket, endpoint: int | None) -> Server:
        del endpoint
        sock.close()
        self.asked.set()
        await self.may.wait()
        self.made.append(Server())
        return self.made[-1]


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Any:
    async def listen(path: str, port: int) -> socket.socket:
        del path, port
        return socket.socket()

    monkeypatch.setattr(hatches, "listen_inside", listen)

    class Instance:
        porter = "porter.sock"
        pool = SimpleNamespace(spec=SimpleNamespace(block_network=False, ports=lambda: ()))

    return Instance()


async def test_all_that_was_opened_goes_with_its_instance(instance: Any) -> None:
    ingress = Ingress()
    ingress.may.set()
    opened = Hatches(cast("Any", ingress), lambda: [8001])
    opened.open(instance)
    await _until_made(ingress, 2)
    opened.close(instance)
    assert [server.closed for server in ingress.made] == [True, True]


async def test_an_instance_that_ends_while_they_open_leaves_none(instance: Any) -> None:
    ingress = Ingress()
    opened = Hatches(cast("Any", ingress), lambda: [8001])
    opened.open(instance)
    await ingress.asked.wait()
    opened.close(instance)
    ingress.may.set()
    await _until_made(ingress, 1)
    await asyncio.sleep(0)
    assert [server.closed for server in ingress.made] == [True]


async def _until_made(ingress: Ingress, count: int) -> None:
    await until(lambda: len(ingress.made) == count)
    await asyncio.sleep(0)  # and one turn more
