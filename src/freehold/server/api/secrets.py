"""Secrets: names and keys go out, values only come in."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from freehold.protocol.schemas import SecretRequest, SecretView
from freehold.server.api.exchange import answer, read, services, workspace
from freehold.server.api.openapi import describe

router = APIRouter(prefix="/v1/secrets", tags=["secrets"])


@router.get("")
@describe(answer=list[SecretView])
async def list_secrets(request: Request) -> Response:
    return answer(await services(request).secrets.list(workspace(request)))


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
