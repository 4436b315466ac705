"""Pools of a function: made with overrides, scaled, looked at."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from freehold.core.specs import Scaling
from freehold.protocol.schemas import PoolRef, PoolView, ScalingRequest, VariantRequest, VariantView
from freehold.server.api.exchange import answer, read, services, workspace
from freehold.server.api.openapi import describe

router = APIRouter(prefix="/v1/pools", tags=["pools"])


@router.post("/variants")
@describe(body=VariantRequest, answer=VariantView)
async def override(request: Request) -> Response:
    """Admit overrides of a function; a call that names the answer's id runs with them, in a pool of its own."""
    body = await read(request, VariantRequest)
    return answer(await services(request).pools.override(workspace(request), body.function, body.overrides))


@router.post("/scaling")
@describe(body=ScalingRequest, answer=Scaling)
async def scale(request: Request) -> Response:
    """Change how a pool scales, until the next deployment; an empty change tells how it does."""
    body = await read(request, ScalingRequest)
    return answer(await services(request).pools.scale(workspace(request), body.pool, body.change))


@router.post("/stats")
@describe(body=PoolRef, answer=PoolView)
async def stats(request: Request) -> Response:
    """What waits and runs in a pool now."""
    return answer(await services(request).pools.stats(workspace(request), await read(request, PoolRef)))
