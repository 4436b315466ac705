"""Terminals of those who run an app interactively: what an instance says goes to them, the lines that they type go back.

Nothing is kept: a terminal lasts as long as whoever reads it, and one instance has it at a time.
"""

import asyncio
from collections.abc import AsyncGenerator, Collection
from itertools import count

from freehold.core.errors import ConflictError, InvalidError, NotFoundError
from freehold.protocol.schemas import TerminalAsk, TerminalText
from freehold.server.dispatch.fleet import Fleet
from freehold.server.dispatch.registry import Registry

_AHEAD = 100  # what an instance may say before it is read


class Terminals:
    """At most one an app."""

    def __init__(self, *, registry: Registry, fleet: Fleet) -> None:
        self._registry, self._fleet = registry, fleet
        self._open: dict[str, _Terminal] = {}  # by app

    def attach(self, workspace: str, ref: str) -> AsyncGenerator[TerminalAsk, None]:
        """What the instances of an app say and ask, for as long as it is read; the first says only that all is ready."""
        app_id = self._registry.app(workspace, ref).id
        self._refuse_second(app_id, ref)
        return self._attached(app_id)

    async def _attached(self, app_id: str) -> AsyncGenerator[TerminalAsk, None]:
        self._refuse_second(app_id, app_id)  # one may have begun between
        terminal = self._open[app_id] = _Terminal()
        try:
            yield TerminalAsk(id=0)
            while True:
                yield await terminal.said.get()
        finally:
            self._open.pop(app_id)
            terminal.close()

    def _refuse_second(self, app_id: str, shown: str) -> None:
        if app_id in self._open:
            raise ConflictError(f"app {shown!r} has a terminal already: close the other one first")

    async def say(self, instance_id: str, text: TerminalText) -> str | None:
        """Pass on what an instance says; with `reads` return the line that is typed, None at the end of all input."""
        instance = self._fleet.instances.get(instance_id)
        if instance is None:
            raise InvalidError("only an instance that runs can speak to the terminal of its app")
        terminal = self._open.get(instance.pool.app_id)
        if terminal is None:
            raise ConflictError(f"no terminal is attached to app {instance.pool.app_name!r}")
        return await terminal.say(instance_id, text, self._fleet.instances)

    def answer(self, workspace: str, ref: str, ask: int, line: str | None) -> None:
        """Give an instance the line that it asked for."""
        terminal = self._open.get(self._registry.app(workspace, ref).id)
        if terminal is None or not terminal.answer(ask, line):
            raise NotFoundError(f"nothing of app {ref!r} waits for an answer to {ask}")


class _Terminal:
    def __init__(self) -> None:
        self.said: asyncio.Queue[TerminalAsk] = asyncio.Queue(_AHEAD)
        self._asked: dict[int, asyncio.Future[str | None]] = {}
        self._numbers = count(1)
        self._holder = ""
        self._closed = False

    async def say(self, instance_id: str, text: TerminalText, living: Collection[str]) -> str | None:
        if self._holder != instance_id and self._holder in living:
            raise ConflictError(
                f"instance {self._holder} has the terminal: run one at a time, as with max_containers=1"
            )
        self._holder, number = instance_id, next(self._numbers)
        answer = asyncio.get_running_loop().create_future()
        if text.reads:
            self._asked[number] = answer
        try:
            await self.said.put(TerminalAsk(id=number, text=text.text, reads=text.reads))
            return await answer if text.reads and not self._closed else None
        finally:
            self._asked.pop(number, None)

    def answer(self, number: int, line: str | None) -> bool:
        asked = self._asked.get(number)
        if asked is None or asked.done():
            return False
        asked.set_result(line)
        return True

    def close(self) -> None:
        """Nobody reads any more: all input has ended."""
        self._closed = True
        for number in list(self._asked):
            self.answer(number, None)
        while not self.said.empty():  # who waits for room goes on
            self.said.get_nowait()
