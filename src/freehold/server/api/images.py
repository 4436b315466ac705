"""Images: built once a digest, the build's log streamed to whoever asks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from freehold.core.digests import image_digest
from freehold.protocol.schemas import ImageName, ImageRequest, ImageView, PruneRequest, PruneResult
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


@router.get("")
@describe(answer=list[ImageView])
async def list_images(request: Request) -> Response:
    return answer(await services(request).images.list(workspace(request)))


@router.post("/prune")
@describe(body=PruneRequest, answer=PruneResult)
async def prune(request: Request) -> Response:
    """Delete the images that no running app uses."""
    body = await read(request, PruneRequest)
    return answer(await services(request).images.prune(unused_s=body.unused_s))


@router.get("/{ref}")
@describe(answer=ImageView)
async def show(request: Request, ref: str) -> Response:
    """An image by its digest, by the beginning of it, by its id or by its name."""
    return answer(await services(request).images.get(workspace(request), ref))


@router.get("/{ref}/log")
async def log(request: Request, ref: str) -> Response:
    """The build's log as NDJSON, {"log": line} each; of a build that goes on until its end."""
    images = services(request).images
    digest = (await images.get(workspace(request), ref)).digest
    return ndjson(request, _lines(images, digest))


@router.post("/{ref}/names")
@describe(body=ImageName)
async def publish(request: Request, ref: str) -> Response:
    """Give a built image a name, `NAME:TAG`; it is taken from the image that has it."""
    body = await read(request, ImageName)
    await services(request).images.publish(workspace(request), ref, body.name)
    return Response(status_code=204)


@router.delete("/{ref}")
async def delete(request: Request, ref: str) -> Response:
    await services(request).images.delete(ref)
    return Response(status_code=204)


async def _lines(images: Images, digest: str) -> AsyncIterator[dict[str, Any]]:
    async for line in images.log(digest):
        yield {"log": line}


async def _build(images: Images, workspace: str, body: ImageRequest) -> AsyncIterator[dict[str, Any]]:
    spec = await images.admit(workspace, body.spec)
    build = asyncio.ensure_future(images.ensure(workspace, spec))
    try:
        done, _ = await asyncio.wait({build}, timeout=_READY_S)  # an image that is there answers without its old log
        if not done:
            async for line in images.follow(image_digest(spec)):
                yield {"log": line}
        yield {"image": await build}
    finally:
        if not build.done():  # the caller left; the build itself is shared, and goes on
            build.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await build
