"""Log lines, of the past and as they come."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from freehold.core.errors import InvalidError
from freehold.protocol.schemas import LogLine
from freehold.server.api.exchange import json_line, ndjson, services, workspace
from freehold.server.api.openapi import describe

router = APIRouter(prefix="/v1/logs", tags=["logs"])
_TYPES = ("training", "inference", "system", "api")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BATCH = 500


@router.get("")
@describe(answer=LogLine)
async def logs(  # noqa: PLR0913, PLR0917 (the route's own filters)
    request: Request,
    app: str | None = None,
    app_id: str | None = None,
    function: str | None = None,
    instance: str | None = None,
    call: str | None = None,
    request_id: str | None = None,
    since: Annotated[
        str | None, Query(description="seconds since the epoch, RFC 3339, or an age: 90s, 10m, 2h, 1d")
    ] = None,
    until: str | None = None,
    search: Annotated[str | None, Query(max_length=1000)] = None,
    source: Annotated[str | None, Query(pattern="^(stdout|stderr|system)$")] = None,
    tail: Annotated[int | None, Query(ge=0, le=1_000_000)] = None,
    follow: bool = False,
    type: Annotated[list[str] | None, Query()] = None,  # noqa: A002 (the parameter's name)
) -> Response:
    """NDJSON, one line of log each, oldest first; with follow, live ones after those of the past."""
    now = time.time()
    query = services(request).log_query(
        app=app, app_id=app_id, function=function, instance=instance, call=call, request_id=request_id, search=search, source=source, tail=tail,
        workspace=workspace(request),
        since=parse_time("since", since, now), until=parse_time("until", until, now), types=_types(type or list(_TYPES)),
    )  # fmt: skip
    reader = services(request).logs
    return ndjson(request, reader.follow(query) if follow else _past(reader.query(query)))


def parse_time(name: str, text: str | None, now: float) -> float | None:
    """Seconds since the epoch from a number, an RFC 3339 time, or an age such as 10m."""
    if not text:
        return None
    age = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if age:
        return now - float(age.group(1)) * _UNITS[age.group(2)]
    try:
        return (
            float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else datetime.fromisoformat(text).astimezone().timestamp()
        )
    except (ValueError, OverflowError):
        msg = f"{name} {text[:100]!r} is no time; give seconds since the epoch, RFC 3339, or an age such as 90s, 10m, 2h, 1d"
        raise InvalidError(msg) from None


def _types(given: list[str]) -> tuple[str, ...]:
    for name in given:
        if name not in _TYPES:
            msg = f"log type {name[:100]!r} is not known; choose from {', '.join(_TYPES)}"
            raise InvalidError(msg)
    return tuple(given)


async def _past(lines: Iterator[Any]) -> AsyncIterator[bytes]:
    """Read files in a thread, a batch of whole lines at a time."""
    while batch := await asyncio.to_thread(_take, lines):
        yield batch


def _take(lines: Iterator[Any]) -> bytes:
    return b"".join(json_line(line) for line in islice(lines, _BATCH))
