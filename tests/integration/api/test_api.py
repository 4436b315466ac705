"""The control API behind its real door and a real ingress: streams that end with their callers, the link, uploads."""

import asyncio
import os
import stat
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import uvloop
from tests.unit.api.conftest import INSTANCE_TOKEN, TOKEN, World
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from freehold.protocol.frames import FromClient, FromServer, Hello, Welcome
from freehold.protocol.link import Link
from freehold.protocol.stored import QueueGet, QueueItems, QueuePut
from freehold.server.api.door import ApiDoor
from freehold.server.ingress.contract import IngressConfig
from freehold.server.ingress.listeners import Ingress

_HEADER = struct.Struct("<I")
NO_ROUTER: Any = None


def pytest_asyncio_loop_factories() -> Any:
    return {"uvloop": uvloop.new_event_loop}


class FakeLinks:
    """Greets everyone, and remembers what was said."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.closed: list[Exception | None] = []
        self.open: list[Link[Any]] = []

    def accept(self, *, local: bool = True) -> Link[Any]:
        link: Link[Any] = Link(
            msgspec.msgpack.Decoder(list[FromClient]), self._receive, lambda _, error: self.closed.append(error)
        )
        self.open.append(link)
        return link

    def _receive(self, link: Link[Any], messages: list[Any]) -> None:
        self.said += messages
        for message in messages:
            link.send(Welcome("cl-1", "1", arena="x" * len(message.client)))


class Running:
    def __init__(self, world: World, url: str, folder: Path) -> None:
        self.world, self.url, self.folder = world, url, folder
        self.headers = {"authorization": f"Bearer {TOKEN}"}

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(1.0):
            while not condition():  # noqa: ASYNC110 (any condition)
                await asyncio.sleep(0.005)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    world = World(tmp_path, links=FakeLinks())
    door = ApiDoor(world.app(), tmp_path / "api.sock")
    await door.open()
    ingress = Ingress(NO_ROUTER, IngressConfig(host="127.0.0.1", port=0, api=f"unix:{tmp_path / 'api.sock'}"))
    await ingress.open()
    yield Running(world, f"http://127.0.0.1:{ingress.port}", tmp_path)
    await ingress.close()
    await door.close()


async def test_the_socket_is_for_its_owner_alone(running: Running) -> None:
    assert stat.S_IMODE((running.folder / "api.sock").stat().st_mode) == 0o600


async def test_a_request_through_ingress_and_door(running: Running) -> None:
    async with httpx.AsyncClient(headers=running.headers) as client:
        answer = await client.get(f"{running.url}/v1/apps")
    assert answer.json()[0]["name"] == "ocr"
    assert answer.headers["x-request-id"] == running.world.records[0].request_id


async def test_events_end_with_their_listener(running: Running) -> None:
    async with (
        httpx.AsyncClient(headers=running.headers) as client,
        client.stream("GET", f"{running.url}/v1/events") as answer,
    ):
        text = ""
        async for part in answer.aiter_text():
            text += part
            if "data:" in text:
                break
        assert "event: app" in text
        assert running.world.events.listeners == 1
    await running.until(lambda: running.world.events.listeners == 0)


async def test_a_json_call_ends_with_its_caller(running: Running) -> None:
    async with httpx.AsyncClient(headers=running.headers) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post(f"{running.url}/v1/functions/demo/forever/call", json={}, timeout=0.3)
    await running.until(lambda: running.world.calls.cancelled)


async def test_an_upload_of_any_length_goes_through_and_one_that_breaks_leaves_nothing(running: Running) -> None:
    data = os.urandom(20_000_000)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 500_000):
            yield data[start : start + 500_000]

    async with httpx.AsyncClient(headers=running.headers) as client:
        await client.put(f"{running.url}/v1/volumes/v")
        assert (await client.put(f"{running.url}/v1/volumes/v/files/big", content=pieces())).json()["bytes"] == len(
            data
        )
        assert (await client.get(f"{running.url}/v1/volumes/v/files/big")).content == data
    reader, writer = await asyncio.open_connection("127.0.0.1", int(running.url.rpartition(":")[2]))
    del reader
    head = f"PUT /v1/volumes/v/files/half HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 1000\r\n\r\nhalf"
    writer.write(head.encode())
    uploads = running.folder / "volumes" / "main" / "v" / "uploads"
    await running.until(lambda: list(uploads.iterdir()))
    writer.close()
    await running.until(lambda: not list(uploads.iterdir()))
    assert not (uploads.parent / "files" / "half").exists()


async def test_a_raw_path_with_a_nul_or_dots_is_refused(running: Running) -> None:
    async with httpx.AsyncClient(headers=running.headers) as client:
        await client.put(f"{running.url}/v1/volumes/v")
        for path in (
            "a%00b",
            "%2e%2e/%2e%2e/token",
            "..%2f..%2ftoken",
            "%5c..%5ctoken",
            "%ff%fe",
            "/etc/passwd",
            "%2fetc%2fpasswd",
        ):
            url = httpx.URL(running.url).copy_with(raw_path=f"/v1/volumes/v/files/{path}".encode())
            assert (await client.get(url)).status_code == 400, path
        literal = httpx.URL(running.url).copy_with(raw_path=b"/v1/volumes/v/files/%252e%252e/token")
        assert (await client.get(literal)).status_code == 404  # decoded once, it is a name like any other


async def test_the_link_over_a_websocket(running: Running) -> None:
    decoder = msgspec.msgpack.Decoder(list[FromServer])
    links = running.world.links
    async with connect(
        running.url.replace("http", "ws") + "/v1/link", additional_headers=running.headers, max_size=None
    ) as socket:
        for size in (0, 5_000_000):
            await socket.send(msgspec.msgpack.encode([Hello("t", 1, "x" * size)]))
            answer = await socket.recv()
            assert isinstance(answer, bytes)
            [welcome] = decoder.decode(answer)
            assert isinstance(welcome, Welcome)
            assert len(welcome.arena) == size
        assert len(links.said) == 2
    await running.until(lambda: links.closed == [None])


async def test_a_link_that_we_close_ends_its_websocket(running: Running) -> None:
    async with connect(running.url.replace("http", "ws") + "/v1/link", additional_headers=running.headers) as socket:
        await running.until(lambda: running.world.links.open)
        running.world.links.open[0].close()
        await asyncio.wait_for(socket.wait_closed(), 1)


async def test_a_text_message_ends_a_link(running: Running) -> None:
    async with connect(running.url.replace("http", "ws") + "/v1/link", additional_headers=running.headers) as socket:
        await socket.send("hello")
        await asyncio.wait_for(socket.wait_closed(), 1)
    assert isinstance(running.world.links.closed[0], ValueError)


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"cookie": "freehold_session=forged.x"}])
async def test_a_link_without_a_known_credential_is_refused(running: Running, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(running.url.replace("http", "ws") + "/v1/link", additional_headers=headers)
    assert refused.value.response.status_code == 401
    assert not running.world.links.open


async def test_a_websocket_with_a_session_must_come_from_our_own_pages(running: Running) -> None:
    cookie = {"cookie": f"freehold_session={running.world.authority.new_session()}"}
    url = running.url.replace("http", "ws") + "/v1/link"
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, additional_headers=cookie, origin="http://evil.example")  # type: ignore[arg-type]
    assert refused.value.response.status_code == 403
    async with connect(url, additional_headers=cookie, origin=running.url):  # type: ignore[arg-type]
        pass
    async with connect(url, additional_headers={"authorization": f"Bearer {INSTANCE_TOKEN}"}):
        pass


async def test_an_item_goes_to_who_still_waits_and_not_to_who_has_left(running: Running) -> None:
    world = running.world
    await world.store.open()
    await world.queues.open()
    body = msgspec.msgpack.encode(QueueGet(wait_s=20))
    try:
        async with httpx.AsyncClient(headers=running.headers) as client:
            at = f"{running.url}/v1/queues/{(await client.post(f'{running.url}/v1/queues', json={'name': 'q'})).json()['id']}"
            with pytest.raises(httpx.ReadTimeout):
                await client.post(f"{at}/get", content=body, timeout=0.2)
            await running.until(lambda: not world.queues._arrivals._places)
            waiting = asyncio.ensure_future(client.post(f"{at}/get", content=body, timeout=20))
            await running.until(lambda: world.queues._arrivals._places)
            await client.post(f"{at}/put", content=msgspec.msgpack.encode(QueuePut(items=[b"x"])))
            answer = await asyncio.wait_for(waiting, 20)
        assert msgspec.msgpack.decode(answer.content, type=QueueItems).items == [b"x"]
    finally:
        await world.queues.close()
        await world.store.close()
