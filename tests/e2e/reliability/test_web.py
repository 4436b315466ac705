"""Web endpoints whose callers leave (R17), and a server on a port of its own that is deployed again under load."""

import asyncio
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import httpx
import pytest
from tests.e2e.harness import Freehold, free_port
from tests.e2e.reliability.chaos import lines, volume
from websockets.asyncio.client import connect

pytestmark = pytest.mark.slow
STOPS_WITHIN_S = 1.0


def urls(home: Freehold) -> dict[str, str]:
    functions: list[dict[str, Any]] = home.json("app", "show", "streams")["functions"]
    return {f["name"]: f["endpoints"][""] for f in functions}


async def leave(url: str, path: str) -> None:
    """Ask, read a little, hang up."""
    if path == "/socket":
        socket = await connect(url.replace("http", "ws", 1) + path)
        await socket.recv()
        socket.transport.abort()
        return
    async with httpx.AsyncClient(timeout=httpx.Timeout(20, read=1.0 if path == "/silent" else 20)) as client:
        try:
            async with client.stream("GET", url + path) as answer:
                await anext(answer.aiter_raw())
        except httpx.ReadTimeout:
            assert path == "/silent"


def test_r17_work_stops_when_its_caller_leaves_and_no_slot_is_lost(server: Freehold) -> None:
    server.ok("deploy", "streams.py")
    found = urls(server)
    asyncio.run(leave(found["endless"], "/async"))  # warm
    for path in ("/async", "/sync", "/silent", "/socket") * 2:
        asyncio.run(leave(found["endless"], path))
        left = time.time()
        time.sleep(STOPS_WITHIN_S + 0.5)
        last = float(lines(volume(server, "ticks") / path[1:])[-1])
        assert last - left < STOPS_WITHIN_S, f"{path} went on for {last - left:.2f} s"
    asyncio.run(leave(found["wsgi"], "/"))
    left = time.time()
    time.sleep(STOPS_WITHIN_S + 0.5)
    assert float(lines(volume(server, "ticks") / "wsgi")[-1]) - left < STOPS_WITHIN_S
    assert {i["running"] for i in server.json("instance", "list")} == {0}


async def post_on(url: str, answers: Counter[tuple[int, str]], over: asyncio.Event) -> None:
    async with httpx.AsyncClient(timeout=60) as client:
        while not over.is_set():
            answer = await client.post(url, content=b"x" * 1000)
            answers[answer.status_code, answer.text] += 1


async def deploy_under_load(home: Freehold, url: str, port: int) -> Counter[tuple[int, str]]:
    answers: Counter[tuple[int, str]] = Counter()
    over = asyncio.Event()
    callers = [asyncio.ensure_future(post_on(url, answers, over)) for _ in range(8)]
    for version in ("2", "3"):
        await asyncio.sleep(0.5)
        await asyncio.to_thread(deploy, home, version, port)
        async with asyncio.timeout(30):
            while (200, version) not in answers:  # noqa: ASYNC110 (its instance waits for the port)
                await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    over.set()
    await asyncio.gather(*callers)
    return answers


def deploy(home: Freehold, version: str, port: int) -> None:
    told = (("STREAMS_VERSION", version), ("STREAMS_PORT", str(port)))
    replace(home, extra=(*home.extra, *told)).ok("deploy", "streams.py")


def test_a_server_on_a_port_of_its_own_is_deployed_again_without_a_failed_request(server: Freehold) -> None:
    port = free_port()
    deploy(server, "1", port)
    answers = asyncio.run(deploy_under_load(server, urls(server)["own"], port))
    assert set(answers) == {(200, "1"), (200, "2"), (200, "3")}
