"""The log page, the log panel of other pages, and the stream that both follow."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from itertools import islice
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from freehold.protocol.schemas import LogLine
from freehold.server.api.contract import Services
from freehold.server.api.exchange import workspace
from freehold.server.logs.words import LOG_TYPES, LogQuery
from freehold.server.web import live
from freehold.server.web.page import PageRoute, environment, render

TAIL, TAIL_SINCE = 400, 2000
NOT_REQUESTS = tuple(t for t in LOG_TYPES if t != "api")
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
WINDOWS = {"5m": 300.0, "1h": 3600.0, "24h": 86400.0, "7d": 7 * 86400.0}
_FILTERS = ("app", "app_id", "function", "instance", "call", "request_id", "search", "level", "type", "since")
_LEVEL_SCAN = 20  # lines read for one that passes the filter by level


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A log that stands on a page: its newest lines, and where the rest comes from."""

    lines: list[LogLine]
    stream_url: str
    page_url: str
    search: str = ""


class LogPages:
    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        router = APIRouter(route_class=PageRoute, include_in_schema=False)
        router.add_api_route("/logs", self.index, methods=["GET"])
        router.add_api_route("/logs/follow", self.follow, methods=["GET"])
        return router

    async def index(self, request: Request) -> Response:
        query = {k: v for k in _FILTERS if (v := request.query_params.get(k, "").strip())}
        apps = await self._services.apps.list(workspace(request))
        return render(
            request, "logs.html", log=await self.panel(query, workspace(request)), filters=query, levels=list(LEVELS), types=LOG_TYPES,
            windows=list(WINDOWS), app_names=sorted({app.name for app in apps}),
        )  # fmt: skip

    async def panel(self, query: dict[str, str], workspace: str) -> Panel:
        """The newest lines that match; read in a thread, since they come from files."""
        asked = log_query(query, time.time(), workspace)
        lines = await asyncio.to_thread(self._newest, asked, query.get("level", ""))
        encoded = urlencode(query)
        return Panel(
            lines=lines,
            stream_url=f"/logs/follow?{encoded}",
            page_url=f"/logs?{encoded}",
            search=query.get("search", ""),
        )

    async def follow(self, request: Request) -> Response:
        query = {k: v for k in _FILTERS if (v := request.query_params.get(k, "").strip())}
        lines = self._matching(log_query(query, time.time(), workspace(request)), query.get("level", ""))
        return live.stream(live.batches(lines, lambda batch: draw(batch, query.get("search", ""))))

    def _newest(self, asked: LogQuery, level: str) -> list[LogLine]:
        lines = (line for line in self._services.logs.query(_wider(asked, level)) if at_least(line, level))
        return list(islice(lines, TAIL * _LEVEL_SCAN))[-(asked.tail or TAIL) :]

    async def _matching(self, asked: LogQuery, level: str) -> AsyncIterator[LogLine]:
        async for line in self._services.logs.follow(_wider(asked, level)):
            if at_least(line, level):
                yield line


def log_query(query: dict[str, str], now: float, workspace: str | None = None) -> LogQuery:
    """What an address asks for, the newest lines of it."""
    window = WINDOWS.get(query.get("since", ""))
    return LogQuery(
        app=query.get("app"), app_id=query.get("app_id"), function=query.get("function"), instance=query.get("instance"),
        call=query.get("call"), request_id=query.get("request_id"), search=query.get("search"),
        since=now - window if window else None, types=_types(query), workspace=workspace,
        tail=TAIL_SINCE if window else TAIL,
    )  # fmt: skip


def _types(query: dict[str, str]) -> tuple[str, ...]:
    """What was asked for; else all but requests, this page's own among them, unless it is one of them that is looked for."""
    asked = query.get("type", "any" if "request_id" in query else "")
    return (asked,) if asked in LOG_TYPES else LOG_TYPES if asked == "any" else NOT_REQUESTS


def at_least(line: LogLine, level: str) -> bool:
    return LEVELS.get(line.level, 40 if line.level in ("critical", "fatal") else 20) >= LEVELS.get(level, 0)


def _wider(asked: LogQuery, level: str) -> LogQuery:
    """The level is not in the query: read more lines where many will be left out."""
    return replace(asked, tail=TAIL * _LEVEL_SCAN) if LEVELS.get(level, 0) > LEVELS["info"] else asked


def draw(lines: list[LogLine], search: str) -> str:
    return environment().get_template("loglines.html").render(lines=lines, search=search)
