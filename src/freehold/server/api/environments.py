"""Environments: listed, made, and deleted with all that is in them."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from freehold.protocol.schemas import EnvironmentView
from freehold.server.api.exchange import answer, services, workspace
from freehold.server.api.openapi import describe

router = APIRouter(prefix="/v1/environments", tags=["environments"])


@router.get("")
@describe(answer=list[EnvironmentView])
async def list_environments(request: Request) -> Response:
    return answer(services(request).environments.list(workspace(request)))


@router.put("/{name}")
@describe(answer=EnvironmentView)
async def create(request: Request, name: str) -> Response:
    return answer(await services(request).environments.create(workspace(request), name), 201)


@router.delete("/{name}")
async def delete(request: Request, name: str) -> Response:
    """Delete an environment with its apps, secrets and data."""
    await services(request).environments.delete(workspace(request), name)
    return Response(status_code=204)
