"""Secrets: names and keys go out, values only come in."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from freehold.protocol.schemas import SecretRequest, SecretUpdate, SecretView
from freehold.server.api.exchange import answer, read, services, workspace
from freehold.server.api.openapi import describe

router = APIRouter(prefix="/v1/secrets", tags=["secrets"])


@router.get("")
@describe(answer=list[SecretView])
async def list_secrets(request: Request) -> Response:
    return answer(await services(request).secrets.list(workspace(request)))


@router.get("/{name}")
@describe(answer=SecretView)
async def show(request: Request, name: str) -> Response:
    """A secret's keys, without their values."""
    return answer(await services(request).secrets.get(workspace(request), name))


@router.patch("/{name}")
@describe(body=SecretUpdate, answer=SecretView)
async def update(request: Request, name: str) -> Response:
    """Add keys to a secret, or give them other values; the rest stays."""
    body = await read(request, SecretUpdate)
    return answer(await services(request).secrets.update(workspace(request), name, body.values))


@router.put("/{name}")
@describe(body=SecretRequest, answer=SecretView)
async def put(request: Request, name: str) -> Response:
    """Create a secret; with `force`, replace one of that name."""
    body = await read(request, SecretRequest)
    return answer(await services(request).secrets.put(workspace(request), name, body.values, force=body.force))


@router.delete("/{name}")
async def delete(request: Request, name: str) -> Response:
    await services(request).secrets.delete(workspace(request), name)
    return Response(status_code=204)
