"""Virtual time, and a store in memory that checks what it is told: for tests that play long histories."""

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, cast

from freehold.core.states import CallState
from freehold.protocol.payload import decode_payload
from freehold.server.store.contract import Done, Write
from freehold.server.store.rows import AttemptRow, InputRow


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time stands still while there is something to do, and jumps to the next timer when there is not."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 1000.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        inner = cast("Any", self)
        if not inner._ready and inner._scheduled:
            self._now = max(self._now, inner._scheduled[0]._when)
        cast("Any", super())._run_once()


class LoopClock:
    """The clock of a virtual loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.monotonic = loop.time

    def now(self) -> float:
        return 1e9 + self.monotonic()


class Memory:
    """A store that commits a little later, and refuses a second outcome of an input."""

    def __init__(self, random: Random) -> None:
        self._random, self._free, self._told = random, 0.0, 0.0
        self.fault: str | None = None
        self.outcomes: dict[tuple[str, int], CallState] = {}
        self.attempts: Counter[tuple[str, int, int]] = Counter()

    def write_then(self, ops: list[Write], done: Done, *, alone: Callable[[], object] | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._free = max(self._free, loop.time()) + self._random.expovariate(1000)
        loop.call_at(self._free, self._commit, ops, done, alone)

    def _commit(self, ops: list[Write], done: Done, alone: Callable[[], object] | None) -> None:
        for row in (row for op in ops for row in op.rows):
            if isinstance(row, InputRow) and row.state.final:
                assert (row.call_id, row.idx) not in self.outcomes, "an outcome was recorded twice"
                if row.state is CallState.SUCCEEDED:
                    assert decode_payload(row.result or b"").data == b"%d" % row.attempt, "a stale outcome was taken"
                _check_error(row.error, row.attempt)
                self.outcomes[row.call_id, row.idx] = row.state
            elif isinstance(row, AttemptRow):
                self.attempts[row.call_id, row.idx, row.attempt] += 1
                _check_error(row.error, row.attempt)
        if alone is not None and self._random.random() < 0.5:
            alone()
        loop = asyncio.get_running_loop()
        self._told = max(self._told, loop.time()) + self._random.expovariate(10_000)
        loop.call_at(self._told, done, None)


def _check_error(error: str | None, attempt: int) -> None:
    if error is not None and error.startswith("ValueError"):
        assert error == f"ValueError: attempt {attempt}", "a stale failure was taken"
