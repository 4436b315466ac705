"""Pages of calls: the list with filters and keyset paging, one call with its attempts on a time line, and cancel."""

import time
from dataclasses import replace
from typing import get_args

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from freehold.core.states import CallKind, CallState
from freehold.protocol.schemas import CallDetail, InputView
from freehold.server.api.contract import Services
from freehold.server.api.exchange import workspace
from freehold.server.store.rows import CallFilter
from freehold.server.web import csrf
from freehold.server.web.charts import attempts, durations
from freehold.server.web.logs import LogPages
from freehold.server.web.page import PageRoute, render, seen

PAGE = 50
KINDS: tuple[str, ...] = get_args(CallKind)
WINDOWS = {"15m": 900.0, "1h": 3600.0, "24h": 86400.0, "7d": 7 * 86400.0}
_INPUTS = 200


class CallPages:
    def __init__(self, services: Services, logs: LogPages) -> None:
        self._services = services
        self._logs = logs

    def router(self) -> APIRouter:
        router = APIRouter(route_class=PageRoute, include_in_schema=False)
        router.add_api_route("/calls", self.index, methods=["GET"])
        router.add_api_route("/calls/{call}", self.show, methods=["GET"])
        router.add_api_route("/calls/{call}/cancel", self.cancel, methods=["POST"], dependencies=[Depends(csrf.check)])
        return router

    async def index(self, request: Request) -> Response:
        asked = call_filter(dict(request.query_params), time.time())
        found = await self._services.calls.list(workspace(request), replace(asked, limit=PAGE + 1))
        apps = await self._services.apps.list(workspace(request))
        return render(
            request, "calls.html", calls=found[:PAGE], asked=asked, older=found[PAGE - 1].id if len(found) > PAGE else None,
            points=durations(found), states=list(CallState), kinds=KINDS, windows=list(WINDOWS),
            app_names=sorted({app.name for app in apps}),
        )  # fmt: skip

    async def show(self, request: Request, call: str) -> Response:
        detail = await self._services.calls.get(workspace(request), call)
        asked = request.query_params.get("input_state", "")
        first = _whole_number(request.query_params.get("first", ""))
        matching = _matching(detail, asked)
        return render(
            request, "call.html", call=detail.call, inputs=matching[first : first + _INPUTS], found=len(matching),
            first=first, page_size=_INPUTS, asked=asked, states=_states(detail), rows=attempts(detail, time.time()),
            failed=next((i for i in detail.inputs if i.error or i.traceback), None),
            log=await self._logs.panel({"app": detail.call.app, "call": detail.call.id}, workspace(request)),
        )  # fmt: skip

    async def cancel(self, request: Request, call: str) -> Response:
        detail = await self._services.calls.get(workspace(request), call)
        await self._services.calls.cancel(workspace(request), detail.call.id)
        return seen(f"/calls/{detail.call.id}", "call-cancelled")


def call_filter(query: dict[str, str], now: float) -> CallFilter:
    """What an address asks for; what it asks for in words that we do not know is left out."""
    window = WINDOWS.get(query.get("since", ""))
    return CallFilter(
        app=query.get("app", "").strip() or None,
        function=query.get("function", "").strip() or None,
        state=next((state for state in CallState if state == query.get("state")), None),
        kind=query["kind"] if query.get("kind", "") in KINDS else None,
        parent=query.get("parent") or None,
        since=now - window if window else None,
        before=query.get("before") or None,
    )


def _matching(detail: CallDetail, state: str) -> list[InputView]:
    return [i for i in detail.inputs if not state or i.state == state]


def _states(detail: CallDetail) -> dict[str, int]:
    """How many inputs are in each state, in the order of the states."""
    found = [i.state for i in detail.inputs]
    return {state.value: found.count(state) for state in CallState if state in found}


def _whole_number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
