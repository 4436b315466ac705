"""Images: built once a digest, the build's log streamed to whoever asks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from freehold.core.digests import image_digest
from freehold.protocol.schemas import ImageRequest, ImageView
from freehold.server.api.contract import Images
from freehold.server.api.exchange import answer, ndjson, read, services, workspace
from freehold.server.api.openapi import describe

_READY_S = 0.05
router = APIRouter(prefix="/v1/images", tags=["images"])


@router.post("")
@describe(body=ImageRequest, answer=ImageView)
async def ensure(request: Request) -> Response:
    """Build an environment if it is not there. NDJSON: {"log": line} each, then {"image": ...} or {"error": ...}."""
    body = await read(request, ImageRequest)
    return ndjson(request, _build(services(request).images, workspace(request), body))


@router.get("/{digest}")
@describe(answer=ImageView)
async def show(request: Request, digest: str) -> Response:
    return answer(await services(request).images.get(digest))


async def _build(images: Images, workspace: str, body: ImageRequest) -> AsyncIterator[dict[str, Any]]:
    spec = await images.admit(workspace, body.spec)
    build = asyncio.ensure_future(images.ensure(workspace, spec, force=body.force))
    try:
        done, _ = await asyncio.wait({build}, timeout=_READY_S)  # an image that is there answers without its old log
        if not done:
            async for line in images.log(image_digest(spec)):
                yield {"log": line}
        yield {"image": await build}
    finally:
        if not build.done():  # the caller left; the build itself is shared, and goes on
            build.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await build
