"""What the log parts say to each other: whose output a raw file is, and which lines are asked for."""

from dataclasses import dataclass
from typing import Literal

from freehold.core.environments import MAIN

LogType = Literal["inference", "training", "system", "api"]
LOG_TYPES: tuple[LogType, ...] = ("inference", "training", "system", "api")


@dataclass(frozen=True, kw_only=True)
class LogSource:
    """Whose output an instance's raw file holds; each of its lines carries this."""

    app: str
    app_id: str
    function: str
    type: LogType
    service: str = ""  # the app's name when empty
    workspace: str = MAIN


@dataclass(frozen=True, kw_only=True)
class LogQuery:
    """Which lines are asked for; what is None does not restrict. Times are seconds since the epoch."""

    app: str | None = None  # name
    app_id: str | None = None
    workspace: str | None = None  # of apps that are meant by name; an id means the same in all
    function: str | None = None
    instance: str | None = None
    call: str | None = None
    request_id: str | None = None
    level: str | None = None
    source: str | None = None  # stdout, stderr, or system: what Freehold itself says
    since: float | None = None
    until: float | None = None
    search: str | None = None  # a piece of the message or of the event's fields, in any case
    tail: int | None = None  # the last so many; a follow with neither `tail` nor `since` begins now
    types: tuple[str, ...] = ()  # of LOG_TYPES; empty: all
