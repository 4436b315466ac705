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


async def test_an_instance_that_breaks_before_its_answer_is_502_with_the_way_to_its_logs(stage: Any) -> None:
    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async with stage.script(upstream), httpx.AsyncClient() as client:
        answer = await client.get(stage.url)
    assert answer.status_code == 502
    assert "freehold instance logs in-1" in answer.json()["error"]["message"]
    assert stage.router.outcomes[0].kind == "broken"


async def test_an_instance_gets_no_connection_of_the_one_before_at_its_address(stage: Any) -> None:
    count = itertools.count(1)

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(count)
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n%d" % number)

    async with stage.script(upstream), httpx.AsyncClient() as client:
        answers = [(await client.post(stage.url)).text for _ in range(2)]
        stage.router.instance = "in-2"
        answers.append((await client.post(stage.url)).text)
    assert answers == ["1", "1", "2"]


async def test_a_connection_on_which_a_program_failed_is_not_used_again(stage: Any) -> None:
    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        failed = head.startswith(b"GET")
        writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % (500 if failed else 200))
        if failed:  # as uvicorn does: it hangs up a little later, and has not said that it will
            await reader.readuntil(b"\r\n\r\n")
            writer.transport.abort()

    async with stage.script(upstream), httpx.AsyncClient() as client:
        assert (await client.get(stage.url)).status_code == 500
        assert (await client.post(stage.url, content=b"more")).status_code == 200


@pytest.mark.parametrize(("method", "status", "leases"), [("GET", 200, 2), ("POST", 502, 1), ("DELETE", 502, 1)])
async def test_what_changes_nothing_is_done_again_where_an_instance_broke_off(
    stage: Any, method: str, status: int, leases: int
) -> None:
    healthy = stage.router.address

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async with stage.script(upstream), httpx.AsyncClient() as client:
        stage.router.addresses = [stage.router.address]
        stage.router.address = healthy
        assert (await client.request(method, f"{stage.url}/x")).status_code == status
    assert len(stage.router.leases) == leases
    assert [o.kind for o in stage.router.outcomes] == ["broken", "ok"][:leases]


async def test_an_answer_must_begin_within_the_functions_timeout(stage: Any) -> None:
    stage.router.timeout_s = 0.2
    async with httpx.AsyncClient() as client:
        late = await client.get(f"{stage.url}/wait")
        async with client.stream("GET", f"{stage.url}/events?n=4&every=0.1") as answer:
            assert b"data: 3" in b"".join([part async for part in answer.aiter_bytes()])
    assert late.status_code == 504
    assert "timeout=0.2 s" in late.json()["error"]["message"]
    await stage.until(lambda: "disconnected" in stage.seen)
    assert [o.kind for o in stage.router.outcomes] == ["late", "ok"]


async def test_the_timeout_counts_from_the_requests_end(stage: Any) -> None:
    stage.router.timeout_s = 0.3
    parts = [b"%x\r\n%b\r\n" % (4, b"data")] * 5 + [b"0\r\n\r\n"]
    head = b"POST /digest HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert b'"bytes":20}' in await stage.send(head, *parts, pause_s=0.1)


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
async def test_an_answer_that_is_no_http_is_502(stage: Any, raw: bytes) -> None:
    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        await asyncio.sleep(0.2)
        writer.close()

    async with stage.script(upstream), httpx.AsyncClient() as client:
        assert (await client.get(stage.url)).status_code == 502


@pytest.mark.parametrize(("method", "status", "requests"), [("GET", 200, 3), ("POST", 502, 2)])
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
