"""Streams as they come, slow readers, callers that leave."""

import asyncio
import socket
import struct
import time
from typing import Any

import httpx
import pytest


async def test_events_arrive_as_they_are_sent(stage: Any) -> None:
    async with httpx.AsyncClient() as client, client.stream("GET", f"{stage.url}/events?n=5&every=0.1") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        times = [time.monotonic() async for _ in answer.aiter_bytes()]
    assert len(times) >= 5
    assert times[4] - times[0] > 0.3


async def test_an_upload_is_seen_before_it_ends(stage: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.port)
    writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    async with asyncio.timeout(5):
        await reader.readuntil(b"\r\n\r\n")
        for piece in (b"one", b"two", b"six"):
            writer.write(b"3\r\n" + piece + b"\r\n")
            assert piece in await reader.readuntil(piece + b"\r\n")
        writer.write(b"0\r\n\r\n")
        await reader.readuntil(b"0\r\n\r\n")
        writer.write(b"GET /again HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    writer.close()


@pytest.mark.parametrize("path", ["/wait", "/events"])
async def test_a_caller_that_leaves_ends_the_work_within_a_second(stage: Any, path: str) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", stage.port)
    writer.write(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
    await stage.until(lambda: stage.router.leases)
    await asyncio.sleep(0.2)
    left = time.monotonic()
    writer.close()
    await stage.until(lambda: "disconnected" in stage.seen or "events closed" in stage.seen)
    assert time.monotonic() - left < 1.0
    await stage.until(lambda: stage.router.outcomes)
    assert stage.router.outcomes[0].kind == "client_gone"
    await stage.until(lambda: stage.ingress.connections == 0)


async def test_a_caller_that_leaves_while_we_do_not_read_is_noticed_too(stage: Any) -> None:
    """Its unread bytes stand before its farewell; only the kernel knows."""

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)  # reads nothing
        writer.close()

    async with stage.script(upstream):
        _, writer = await asyncio.open_connection("127.0.0.1", stage.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 4_000_000)
        await asyncio.sleep(0.3)
        left = time.monotonic()
        own = writer.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, as of a killed program
        writer.transport.abort()
        await stage.until(lambda: stage.router.outcomes)
        assert time.monotonic() - left < 1.0
        assert stage.router.outcomes[0].kind == "client_gone"


async def test_a_caller_that_leaves_the_queue_gives_up_its_place(stage: Any) -> None:
    cancelled: list[bool] = []

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    stage.router.before = wait
    _, writer = await asyncio.open_connection("127.0.0.1", stage.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.sleep(0.1)
    writer.close()
    await stage.until(lambda: cancelled)
    await stage.until(lambda: stage.records)
    assert stage.records[0].status == 499


async def test_a_body_waits_for_a_cold_pool(stage: Any) -> None:
    ready = asyncio.Event()
    stage.router.before = ready.wait
    sending = asyncio.ensure_future(
        stage.send(
            b"POST /digest HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3000000\r\n\r\n",
            *[b"y" * 100_000] * 30,
        )
    )
    await asyncio.sleep(0.2)
    ready.set()
    assert b'"bytes":3000000' in await sending


async def test_a_slow_reader_holds_the_instance_back_and_costs_no_memory(stage: Any) -> None:
    sent = 0

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n")
        for _ in range(500):
            writer.write(b"z" * 100_000)
            await writer.drain()
            sent += 100_000
        writer.close()

    async with stage.script(upstream):
        reader, writer = await asyncio.open_connection("127.0.0.1", stage.port, limit=65_536)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await asyncio.sleep(0.5)
        assert sent < 20_000_000  # what the buffers of the kernel and ours hold
        got = 0
        async with asyncio.timeout(20):
            while data := await reader.read(1_000_000):
                got += len(data)
        assert got > 50_000_000
        writer.close()


async def test_many_slow_callers_do_not_hold_up_a_quick_one(stage: Any) -> None:
    writers: list[asyncio.StreamWriter] = []
    for _ in range(50):
        _, writer = await asyncio.open_connection("127.0.0.1", stage.port)
        writer.write(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        writers.append(writer)
    async with httpx.AsyncClient() as client:
        began = time.monotonic()
        assert (await client.get(f"{stage.url}/quick")).status_code == 200
        assert time.monotonic() - began < 0.5
    for writer in writers:
        writer.close()
    await stage.until(lambda: stage.ingress.connections == 0)
    await stage.until(lambda: len(stage.router.outcomes) == len(stage.router.leases))  # a turn of the loop later


async def test_close_lets_what_runs_end(stage: Any) -> None:
    running = asyncio.ensure_future(stage.send(b"GET /events?n=5&every=0.05 HTTP/1.1\r\nHost: x\r\n\r\n"))
    await stage.until(lambda: stage.router.leases)
    await stage.ingress.close(grace_s=5)
    answer = await running
    assert b"data: 4" in answer
    assert answer.endswith(b"0\r\n\r\n")
