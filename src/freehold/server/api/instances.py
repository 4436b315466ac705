"""Instances: those that run, and those that ran."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from freehold.protocol.schemas import InstanceView
from freehold.server.api.exchange import answer, services, workspace
from freehold.server.api.openapi import describe

router = APIRouter(prefix="/v1/instances", tags=["instances"])


@router.get("")
@describe(answer=list[InstanceView])
async def list_instances(
    request: Request,
    app: str | None = None,
    function: str | None = None,
    live_only: bool = True,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Newest first; with live_only=false, ended ones too."""
    views = await services(request).instances.list(
        workspace(request), app=app, function=function, live_only=live_only, limit=limit
    )
    return answer(views)


@router.get("/{instance}")
@describe(answer=InstanceView)
async def show(request: Request, instance: str) -> Response:
    return answer(await services(request).instances.get(workspace(request), instance))


@router.post("/{instance}/stop")
async def stop(request: Request, instance: str, graceful: bool = True) -> Response:
    """Drain an instance; with graceful=false end it at once. Its pool starts another when it needs one."""
    await services(request).instances.stop(workspace(request), instance, graceful=graceful)
    return answer({"stopped": instance})
