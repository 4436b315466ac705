"""The platform at a glance, its metrics, its events, its end."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from freehold.protocol.schemas import StatusView
from freehold.server.api.exchange import answer, services
from freehold.server.api.openapi import describe

router = APIRouter(tags=["platform"])
_PING_S = 15.0


@router.get("/v1/status")
@describe(answer=StatusView)
async def status(request: Request) -> Response:
    return answer(services(request).status.status())


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Prometheus text; open only while the server is bound to loopback, else for the token."""
    return Response(services(request).metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/v1/events")
async def events(request: Request) -> Response:
    """Server-sent events of apps, instances and calls, from now on."""
    stream = _events(services(request).events.subscribe())
    return StreamingResponse(stream, media_type="text/event-stream", headers={"cache-control": "no-store"})


@router.post("/v1/shutdown")
async def shutdown(request: Request) -> Response:
    """Begin a clean shutdown; the answer comes before it ends."""
    services(request).shutdown()
    return answer({"status": "stopping"}, 202)


async def _events(source: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    yield b": connected\n\n"
    waiting: asyncio.Future[Any] | None = None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(anext(source))
            done, _ = await asyncio.wait({waiting}, timeout=_PING_S)
            if not done:
                yield b": ping\n\n"
                continue
            event, waiting = waiting.result(), None
            yield b"event: %b\ndata: %b\n\n" % (event.kind.encode(), json.dumps(asdict(event)).encode())
    except StopAsyncIteration:
        return
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        if isinstance(source, AsyncGenerator):
            await source.aclose()
