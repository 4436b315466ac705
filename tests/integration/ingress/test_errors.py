"""What a caller is told when there is no instance, or when one breaks."""

import asyncio
import itertools
from typing import Any

import httpx
import pytest

from freehold.core.errors import Error, ResourceExhaustedError, ServiceError, TimeoutError
from freehold.server.ingress.contract import Route


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ResourceExhaustedError("1000 requests wait"), 429, "resource_exhausted"),
        (ServiceError("instance failed to start; `freehold app logs ocr` shows why"), 503, "unavailable"),
        (TimeoutError("no instance in time"), 504, "deadline_exceeded"),
    ],
)
async def test_the_routers_errors_are_told_with_their_status(stage: Any, error: Error, status: int, code: str) -> None:
    async def refuse() -> None:
        raise error

    stage.router.before = refuse
    async with httpx.AsyncClient() as client:
        answers = [await client.get(stage.url), await client.post(stage.url, content=b"x" * 1000)]
    for answer in answers:
        assert answer.status_code == status
        fault = answer.json()["error"]
        assert (fault["code"], fault["message"], fault["type"]) == (code, str(error), type(error).__name__)
        assert fault["request_id"] == answer.headers["x-request-id"]
        assert ("retry-after" in answer.headers) == (status in (429, 503))
    assert not stage.router.outcomes


async def test_an_unforeseen_error_tells_nothing(stage: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        msg = "secret detail"
        raise RuntimeError(msg)

    stage.router.before = fail
    async with httpx.AsyncClient() as client:
        answer = await client.get(stage.url)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "secret detail" in caplog.text


async def test_an_unreachable_instance_is_left_for_another(stage: Any) -> None:
    stage.router.addresses = [f"unix:{stage.folder / 'gone.sock'}"]
    async with httpx.AsyncClient() as client:
        assert (await client.post(f"{stage.url}/digest", content=b"abc")).json()["bytes"] == 3
    assert [o.kind for o in stage.router.outcomes] == ["unreachable", "ok"]


async def test_after_three_unreachable_instances_it_is_503(stage: Any) -> None:
    stage.router.address = f"unix:{stage.folder / 'gone.sock'}"
    async with httpx.AsyncClient() as client:
        answer = await client.get(stage.url)
    assert answer.status_code == 503
    assert [o.kind for o in stage.router.outcomes] == ["unreachable"] * 3


async def test_an_instance_that_breaks_before_its_answer_is_503_with_the_way_to_its_logs(stage: Any) -> None:
    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async with stage.script(upstream), httpx.AsyncClient() as client:
        answer = await client.get(stage.url)
    assert answer.status_code == 503
    assert "freehold instance logs in-1" in answer.json()["error"]["message"]
    assert stage.router.outcomes[0].kind == "broken"


async def test_an_answer_that_breaks_off_is_seen_as_broken(stage: Any) -> None:
    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        await writer.drain()
        writer.transport.close()

    async with stage.script(upstream), httpx.AsyncClient() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(stage.url)
    assert stage.router.outcomes[0].kind == "broken"


async def test_an_answer_without_length_ends_with_its_connection(stage: Any) -> None:
    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\nx: y\r\n\r\nwhole")
        writer.close()

    async with stage.script(upstream), httpx.AsyncClient() as client:
        answer = await client.get(stage.url)
    assert answer.content == b"whole"
    assert stage.router.outcomes[0].kind == "ok"


@pytest.mark.parametrize(
    "raw", [b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n"]
)
async def test_an_answer_that_is_no_http_is_503(stage: Any, raw: bytes) -> None:
    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        await asyncio.sleep(0.2)
        writer.close()

    async with stage.script(upstream), httpx.AsyncClient() as client:
        assert (await client.get(stage.url)).status_code == 503


@pytest.mark.parametrize(("method", "status", "requests"), [("GET", 200, 3), ("POST", 503, 2)])
async def test_a_stale_connection_is_tried_again_only_where_nothing_is_lost(
    stage: Any, method: str, status: int, requests: int
) -> None:
    """The upstream keeps its first connection, then hangs up on the request that comes over it."""
    count = itertools.count(1)
    got: list[int] = []

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = True
        while True:
            try:
                await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            number = next(count)
            got.append(number)
            if not first:
                break
            first = False
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        writer.close()

    async with stage.script(upstream), httpx.AsyncClient() as client:
        assert (await client.get(stage.url)).status_code == 200
        assert (await client.request(method, stage.url)).status_code == status
        assert len(got) == requests


async def test_proxy_authentication(stage: Any) -> None:
    stage.router.route = Route(label="ocr", function_id="fu-1", requires_auth=True)
    async with httpx.AsyncClient() as client:
        none = await client.get(stage.url)
        wrong = await client.get(stage.url, headers={"modal-key": "k", "modal-secret": "no"})
        right = await client.get(stage.url, headers={"modal-key": "k", "modal-secret": "let me in"})
        bearer = await client.get(stage.url, headers={"authorization": "Bearer let me in"})
    assert [a.status_code for a in (none, wrong, right, bearer)] == [401, 401, 200, 200]
    assert none.headers["www-authenticate"] == "Bearer"
    assert all("let me in" not in str(v) for k, v in stage.seen[0].items() if k != "authorization")


async def test_no_control_api_is_said_so(stage: Any) -> None:
    from freehold.server.ingress.contract import IngressConfig
    from freehold.server.ingress.listeners import Ingress

    ingress = Ingress(stage.router, IngressConfig(host="127.0.0.1", port=0, api=f"unix:{stage.folder / 'none.sock'}"))
    await ingress.open()
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{ingress.port}/v1/status")
    await ingress.close()
    assert answer.status_code == 503
    assert "freehold status" in answer.json()["error"]["message"]


async def test_too_many_connections_are_turned_away(stage: Any) -> None:
    from freehold.server.ingress.contract import IngressConfig
    from freehold.server.ingress.listeners import Ingress

    config = IngressConfig(host="127.0.0.1", port=0, api=stage.router.address, max_connections=2)
    ingress = Ingress(stage.router, config)
    await ingress.open()
    held = [await asyncio.open_connection("127.0.0.1", ingress.port) for _ in range(2)]
    await stage.until(lambda: ingress.connections == 2)
    assert (await stage.send(port=ingress.port)).startswith(b"HTTP/1.1 503 ")
    for _, writer in held:
        writer.close()
    await ingress.close()
