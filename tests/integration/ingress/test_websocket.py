"""WebSockets go through as bytes: subprotocols, close codes, pings and extensions are settled between the two ends."""

import asyncio
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus


async def test_messages_subprotocol_and_ping(stage: Any) -> None:
    async with connect(f"ws://127.0.0.1:{stage.port}/ws?x=1", subprotocols=["one", "two"]) as socket:  # type: ignore[list-item]
        assert socket.subprotocol == "two"
        await socket.send("hi")
        assert await socket.recv() == "echo hi"
        await socket.send(b"\x00" * 1_000_000)
        assert len(await socket.recv()) == 1_000_000
        await asyncio.wait_for(await socket.ping(), 2)
    headers = stage.seen[0]
    assert headers["host"] == f"127.0.0.1:{stage.port}"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    await stage.until(lambda: stage.records)
    assert stage.records[0].status == 101
    assert stage.router.outcomes[0].kind == "ok"


async def test_the_instance_closes_with_its_own_code(stage: Any) -> None:
    async with connect(f"ws://127.0.0.1:{stage.port}/ws") as socket:
        await socket.send("close")
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "as asked")


async def test_the_caller_closes_with_its_own_code(stage: Any) -> None:
    async with connect(f"ws://127.0.0.1:{stage.port}/ws") as socket:
        await socket.close(4567, "done")
    await stage.until(lambda: ("closed", 4567) in stage.seen)


async def test_a_caller_that_vanishes_ends_the_work(stage: Any) -> None:
    socket = await connect(f"ws://127.0.0.1:{stage.port}/ws")
    socket.transport.abort()
    await stage.until(lambda: any(isinstance(s, tuple) for s in stage.seen), 1.0)
    await stage.until(lambda: stage.router.outcomes, 1.0)


async def test_a_refused_upgrade_is_an_ordinary_answer(stage: Any) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://127.0.0.1:{stage.port}/no-ws")
    assert refused.value.response.status_code == 403


async def test_what_follows_a_refused_upgrade_is_not_taken_for_its_own(stage: Any) -> None:
    answer = await stage.send(
        b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 7\r\n\r\n"
        b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer
    assert len(stage.router.leases) == 1


async def test_an_answer_that_switches_unasked_is_refused(stage: Any) -> None:
    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nraw")
        await asyncio.sleep(1)
        writer.close()

    async with stage.script(upstream), httpx.AsyncClient() as client:
        assert (await client.get(stage.url)).status_code == 502
