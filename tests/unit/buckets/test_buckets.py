"""Storing what nobody waits for: no failure ends it."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.unit.server.harness import until

from freehold.server.services import buckets
from freehold.server.services.buckets import Buckets


class Mirror:
    """Fails the first time in a way that nobody has thought of."""

    bucket = SimpleNamespace()

    def __init__(self) -> None:
        self.asked = 0

    async def store(self, *, settled_s: float = 0.0) -> None:
        del settled_s
        self.asked += 1
        if self.asked == 1:
            raise ValueError("never thought of")


async def test_a_failure_that_nobody_thought_of_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "SWEEP_S", 0.001)
    kept, mirror = Buckets(tmp_path, cast("Any", None)), Mirror()
    kept._mounts["in-1"] = [(cast("Any", mirror), True)]
    keeping = asyncio.create_task(kept.keep_stored())
    await until(lambda: mirror.asked > 1)
    keeping.cancel()
