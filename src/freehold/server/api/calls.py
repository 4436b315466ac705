"""Calls: list, show, cancel, and the result of those made with JSON."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from freehold.core.states import CallKind, CallState
from freehold.protocol.schemas import CallDetail, CallGraph, CallView, JsonResult
from freehold.server.api.exchange import answer, services, workspace
from freehold.server.api.openapi import describe
from freehold.server.store.rows import CallFilter

router = APIRouter(prefix="/v1/calls", tags=["calls"])
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("")
@describe(answer=list[CallView])
async def list_calls(  # noqa: PLR0913, PLR0917 (the route's own filters)
    request: Request,
    app: str | None = None,
    function: str | None = None,
    state: CallState | None = None,
    kind: CallKind | None = None,
    parent: str | None = None,
    since: float | None = None,
    before: Annotated[str | None, Query(description="the last id of the page before")] = None,
    limit: Limit = 100,
) -> Response:
    """Newest first."""
    which = CallFilter(
        app=app, function=function, state=state, kind=kind, parent=parent, since=since, before=before, limit=limit
    )
    return answer(await services(request).calls.list(workspace(request), which))


@router.get("/{call}")
@describe(answer=CallDetail)
async def show(request: Request, call: str) -> Response:
    """A call with its inputs and attempts."""
    return answer(await services(request).calls.get(workspace(request), call))


@router.get("/{call}/graph")
@describe(answer=CallGraph)
async def graph(request: Request, call: str) -> Response:
    """The inputs of the graph that a call is part of, parents first."""
    return answer(await services(request).calls.graph(workspace(request), call))


@router.post("/{call}/cancel")
async def cancel(request: Request, call: str, terminate: bool = False) -> Response:
    """Cancel a call; `cancelled` is false when it had ended already."""
    done = await services(request).calls.cancel(workspace(request), call, terminate=terminate)
    return answer({"call": call, "cancelled": done})


@router.get("/{call}/result")
@describe(answer=JsonResult)
async def result(request: Request, call: str) -> Response:
    """The recorded result of a call that was made with JSON."""
    value = await services(request).calls.result(workspace(request), call)
    return answer(JsonResult(call=call, result=value))
