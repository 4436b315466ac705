"""Instances: those that run, and those that ran."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from freehold.protocol.schemas import InstanceView, TunnelRequest, TunnelView
from freehold.server.api import commands
from freehold.server.api.exchange import answer, principal, read, services, workspace
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


@router.post("/{instance}/tunnels")
@describe(body=TunnelRequest, answer=TunnelView)
async def open_tunnel(request: Request, instance: str) -> Response:
    """Open a port of an instance on the server's address; an instance opens its own."""
    body = await read(request, TunnelRequest)
    tunnels = services(request).tunnels
    return answer(await tunnels.open_for(principal(request).name, workspace(request), instance, body.port))


@router.delete("/{instance}/tunnels/{port}")
async def close_tunnel(request: Request, instance: str, port: int) -> Response:
    await services(request).tunnels.close_for(principal(request).name, workspace(request), instance, port)
    return Response(status_code=204)


commands.add_routes(router, "instance", lambda s: s.instance_commands)
