"""Probes: alive whenever the process answers, ready when it takes calls."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from freehold.server.api.exchange import answer, services

router = APIRouter(tags=["health"])


@router.get("/livez")
@router.get("/health")
@router.get("/healthz")
async def alive() -> Response:
    """The process runs; depends on nothing."""
    return answer({"status": "ok"})


@router.get("/readyz")
@router.get("/startupz")
async def ready(request: Request) -> Response:
    """The server takes calls."""
    if services(request).status.ready():
        return answer({"status": "ok"})
    response = answer({"status": "starting or draining"}, 503)
    response.headers["retry-after"] = "1"
    return response
