"""Web endpoints of a real instance, over the address that its Ready names."""

import asyncio
import http.client
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import unix_connect

from freehold.core.specs import FunctionSpec, Web
from freehold.server.inside import connect_inside

from .conftest import PROGRAMS
from .fake import FakeInstance, FakeServer

Spec = Callable[..., FunctionSpec]


class Unix(http.client.HTTPConnection):
    def __init__(self, address: str) -> None:
        super().__init__("endpoint")
        self._path = address.removeprefix("unix:")

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


async def request(instance: FakeInstance, method: str, path: str, body: Any = None) -> tuple[int, str]:
    address = instance.ready.result().endpoints[""]

    def do() -> tuple[int, str]:
        connection = Unix(address)
        headers = {"x-request-id": "rq-5", "content-type": "application/json", "origin": "http://elsewhere"}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    return await asyncio.to_thread(do)


async def test_fastapi_endpoint(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("item", "pages", web=Web(kind="fastapi_endpoint", docs=True)), PROGRAMS)
    assert await request(instance, "GET", "/?x=3&q=a") == (200, '{"x":3,"q":"a"}')
    assert (await request(instance, "GET", "/?x=no"))[0] == 422
    assert (await request(instance, "GET", "/docs"))[0] == 200
    assert any(r[0] == "l" and r[4] == "rq-5" and r[5] == "serving 3" for r in instance.records())


async def test_fastapi_endpoint_with_a_body(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("create", "pages", web=Web(kind="fastapi_endpoint", method="POST")), PROGRAMS)
    assert await request(instance, "POST", "/", {"a": 1}) == (200, '{"got":{"a":1}}')
    assert (await request(instance, "GET", "/"))[0] == 405
    assert (await request(instance, "GET", "/docs"))[0] == 404


async def test_asgi_app_streams_and_speaks_websocket(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("app", "pages", web=Web(kind="asgi_app")), PROGRAMS)
    assert await request(instance, "GET", "/hello") == (200, '"hi"')
    assert await request(instance, "GET", "/stream") == (200, "part 0\npart 1\npart 2\n")
    path = instance.ready.result().endpoints[""].removeprefix("unix:")
    async with unix_connect(path, "ws://endpoint/ws") as ws:
        await ws.send("hello")
        assert await ws.recv() == "echo hello"
    instance.drain()
    assert (await asyncio.wait_for(instance.exit, 5)).code == 0
    assert websockets is not None


async def test_a_killed_instance_leaves_no_socket(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("app", "pages", web=Web(kind="asgi_app")), PROGRAMS)
    path = Path(instance.ready.result().endpoints[""].removeprefix("unix:"))
    assert path.exists()
    await server.launcher.kill(instance.id)
    await asyncio.wait_for(instance.exit, 5)
    assert not path.exists()


async def test_wsgi_app(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("wsgi", "pages", web=Web(kind="wsgi_app")), PROGRAMS)
    assert await request(instance, "GET", "/some/path") == (200, "wsgi /some/path")


def _hosts(_: FunctionSpec) -> str:
    return "host"


async def test_web_server(server: FakeServer, spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.launcher, "network", _hosts)
    web = Web(kind="web_server", port=18734, startup_timeout_s=10)
    instance = await server.start(spec("server", "pages", web=web), PROGRAMS)
    assert instance.ready.result().endpoints == {"": "tcp:127.0.0.1:18734"}
    _, writer = await asyncio.open_connection("127.0.0.1", 18734)
    writer.close()
    with pytest.raises(RuntimeError, match="port 18734"):
        await server.start(spec("server", "pages", web=web), PROGRAMS)
    await server.launcher.kill(instance.id)
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", 18734)


async def test_a_web_server_in_a_network_of_its_own(server: FakeServer, spec: Spec) -> None:
    web = Web(kind="web_server", port=18734, startup_timeout_s=10)
    first, second = [
        await server.start(spec("server", "pages", web=web, block_network=True), PROGRAMS) for _ in range(2)
    ]
    for instance in (first, second):
        kind, _, where = instance.ready.result().endpoints[""].partition(":")
        assert kind == "inside"
        (await connect_inside(where)).close()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", 18734)


async def test_an_app_whose_lifespan_fails(server: FakeServer, spec: Spec) -> None:
    with pytest.raises(RuntimeError, match="its lifespan failed"):
        await server.start(spec("no_database", "pages", web=Web(kind="asgi_app")), PROGRAMS)


async def test_a_function_that_returns_no_app(server: FakeServer, spec: Spec) -> None:
    with pytest.raises(RuntimeError, match="must return an app"):
        await server.start(spec("no_app", "pages", web=Web(kind="asgi_app")), PROGRAMS)
