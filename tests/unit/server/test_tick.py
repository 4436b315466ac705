"""What the server does a few times a second goes on, whatever one of its steps meets."""

import asyncio
from typing import Any, cast

import pytest
from tests.unit.server.harness import until

from freehold.server import app
from freehold.server.app import Server


class Anything:
    """Takes every call; `overdue` fails the first time."""

    clients = ()

    def __init__(self) -> None:
        self.ticks = self.asked = 0

    def tick(self) -> None:
        self.ticks += 1

    def overdue(self, _slack_s: float) -> list[Any]:
        self.asked += 1
        if self.asked == 1:
            raise RuntimeError("never thought of")
        return []

    def beat(self) -> None: ...
    def look(self) -> None: ...
    def notice_long_running(self, _since_s: float) -> None: ...
    async def reap(self) -> None: ...


async def test_a_step_that_fails_ends_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "TICK_S", 0.001)
    server, part = object.__new__(Server), cast("Any", Anything())
    server.fleet = server.pulse = server.store = server.dispatcher = server.links = server.apps = part
    ticking = asyncio.create_task(server._tick())
    await until(lambda: part.ticks > 1 or ticking.done())
    assert not ticking.done()
    ticking.cancel()
