"""What an app, a function or a call has written: of a time, the last of it, or as it comes."""

from collections.abc import AsyncGenerator, Callable, Generator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from freehold.core.errors import InvalidError
from freehold.protocol import schemas
from freehold.sdk import client
from freehold.sdk.faces import blocking, both_items

if TYPE_CHECKING:
    from freehold.sdk.types import LogEntry, LogSource


_SOURCES = ("stdout", "stderr", "system")


class Logs:
    """`subject` gives the filters of `GET /v1/logs`, and the id of what they are of."""

    def __init__(self, subject: Callable[[], tuple[dict[str, str], str]]) -> None:
        self._subject = subject

    @both_items
    async def fetch(
        self,
        *,
        since: datetime,
        until: datetime | None = None,
        source: "LogSource | None" = None,
        search_text: str = "",
    ) -> "AsyncGenerator[LogEntry, None]":
        """Entries of a range of time; a time without an offset is local."""
        times = {"since": _text(since), "until": _text(until) if until is not None else None}
        async for entry in self._entries(source, times | {"search": search_text or None}):
            yield entry

    @both_items
    async def tail(self, entries: int = 100, *, source: "LogSource | None" = None) -> "AsyncGenerator[LogEntry, None]":
        """The last entries."""
        if not isinstance(entries, int) or entries < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            msg = f"tail({entries!r}): give a number of entries of at least 1"
            raise InvalidError(msg)
        async for entry in self._entries(source, {"tail": entries}):
            yield entry

    @both_items
    async def stream(self) -> "AsyncGenerator[LogEntry, None]":
        """New entries as they come, until the loop is left."""
        async for entry in self._entries(None, {"follow": "true", "since": _text(datetime.now(UTC))}):
            yield entry

    async def _entries(self, source: "LogSource | None", query: dict[str, Any]) -> "AsyncGenerator[LogEntry, None]":
        if source is not None and source not in _SOURCES:
            msg = f"source={source!r} is none of {', '.join(_SOURCES)}"
            raise InvalidError(msg)
        filters, subject = await blocking(self._subject)
        asked: dict[str, Any] = {k: v for k, v in (filters | query).items() if v is not None}
        lines = client.current().api.lines("GET", "/v1/logs", query=asked)
        try:
            while (raw := await blocking(_next, lines)) is not None:
                line = msgspec.json.decode(raw, type=schemas.LogLine)
                if source is None or _source(line) == source:
                    yield _entry(line, subject)
        finally:
            await blocking(lines.close)


def _next(lines: Generator[bytes, None, None]) -> bytes | None:
    return next(lines, None)


def _source(line: "schemas.LogLine") -> "LogSource":
    return line.stream if line.stream in ("stdout", "stderr") else "system"  # pyright: ignore[reportReturnType]


def _entry(line: "schemas.LogLine", subject: str) -> "LogEntry":
    from freehold.sdk.types import LogEntry

    return LogEntry(
        message=line.message + line.ending, timestamp=datetime.fromisoformat(line.timestamp), source=_source(line), object_id=subject,
        context_ids=[i for i in (line.call, line.instance) if i],
    )  # fmt: skip


def _text(moment: datetime) -> str:
    return str((moment if moment.tzinfo else moment.astimezone()).timestamp())
