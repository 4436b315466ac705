"""Buckets, asked for by the instances that have them mounted: fetch what is new, store what was written."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from freehold.server.api.exchange import principal, services

router = APIRouter(prefix="/v1/buckets", tags=["buckets"])


@router.post("/refresh")
async def refresh(request: Request) -> Response:
    """Make the asking instance's folders as its buckets are; at most every few seconds."""
    await services(request).buckets.refresh(principal(request).name)
    return Response(status_code=204)


@router.post("/store")
async def store(request: Request) -> Response:
    """Put what was written below the asking instance's mounts into their buckets; answers when it is there."""
    await services(request).buckets.store(principal(request).name)
    return Response(status_code=204)
