"""The streams that pages follow."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from tests.unit.web.fakes import HOSTILE, line

from freehold.server.events import Events
from freehold.server.web import live
from freehold.server.web.logs import draw


async def collect(stream: AsyncIterator[str], count: int) -> list[str]:
    found: list[str] = []
    async for part in stream:
        found.append(part)
        if len(found) == count:
            break
    return found


async def test_a_burst_of_events_is_one_change_and_one_more() -> None:
    events = Events()
    stream = live.changes(events, frozenset({"call"}), every_s=0.02)
    assert await anext(stream) == ": open\n\n"
    first = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.01)
    for n in range(500):
        events.publish("call", f"fc-{n}", "running")
    assert await first == "event: change\ndata: 1\n\n"
    assert await anext(stream) == "event: change\ndata: 1\n\n"
    quiet = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.08)
    assert not quiet.done()
    events.publish("app", "ap-1", "stopped")  # a kind that this page does not show
    await asyncio.sleep(0.02)
    assert not quiet.done()
    events.publish("call", "fc-1", "succeeded")
    assert await quiet == "event: change\ndata: 1\n\n"
    await stream.aclose()  # type: ignore[attr-defined] (an async generator)


async def test_lines_come_together_and_the_end_is_told() -> None:
    async def lines() -> AsyncIterator[int]:
        for n in range(5):
            yield n

    parts = await collect(live.batches(lines(), lambda batch: f"{batch}\n<b>"), 3)
    assert "".join(p for p in parts if "lines" in p) == "event: lines\ndata: [0, 1, 2, 3, 4]\ndata: <b>\n\n"
    assert parts[-1] == "event: end\ndata: 1\n\n"


async def test_a_failing_source_ends_its_stream() -> None:
    async def lines() -> AsyncIterator[int]:
        yield 1
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        await collect(live.batches(lines(), str), 9)


def test_no_line_can_begin_another_event() -> None:
    said = draw([line(f"a\n\nevent: end\ndata: x\r\n{HOSTILE}", at=time.time())], "")
    body = live.event("lines", said).removeprefix("event: lines\n").removesuffix("\n\n")
    assert all(part.startswith("data: ") for part in body.split("\n"))
    assert "\r" not in body
    assert "<script>" not in body
