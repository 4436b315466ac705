"""Blobs by the sha256 of their bytes."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from freehold.protocol.schemas import Digests
from freehold.server.api.exchange import answer, read, services, upload
from freehold.server.api.files import file_response
from freehold.server.api.openapi import describe

router = APIRouter(prefix="/v1/blobs", tags=["blobs"])


@router.post("/missing")
@describe(body=Digests, answer=Digests)
async def missing(request: Request) -> Response:
    """Which of these are not there yet."""
    body = await read(request, Digests)
    return answer(Digests(digests=services(request).blobs.missing(body.digests)))


@router.put("/{sha256}")
async def put(request: Request, sha256: str) -> Response:
    """Store the body; refused when its digest is another."""
    size = await services(request).blobs.put(upload(request), sha256)
    return answer({"sha256": sha256, "bytes": size}, 201)


@router.get("/{sha256}")
async def get(request: Request, sha256: str) -> Response:
    """A blob's bytes; a Range is honoured."""
    return file_response(request, services(request).blobs.open_read(sha256), {"cache-control": "private, immutable"})
