"""Sandboxes; the commands in them are routes of `commands`."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from freehold.core.errors import InvalidError
from freehold.protocol.schemas import (
    SandboxRequest,
    SandboxView,
    SnapshotView,
    TagsRequest,
    TunnelView,
)
from freehold.server.api import commands
from freehold.server.api.exchange import answer, read, services, while_connected, workspace
from freehold.server.api.openapi import describe
from freehold.server.store.rows import SandboxFilter

router = APIRouter(prefix="/v1/sandboxes", tags=["sandboxes"])


@router.get("")
@describe(answer=list[SandboxView])
async def list_sandboxes(
    request: Request,
    app: str | None = None,
    name: str | None = None,
    tag: Annotated[list[str] | None, Query(description="KEY=VALUE that it must have")] = None,
    live_only: bool = True,
    before: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Newest first; with live_only=false, ended ones too."""
    which = SandboxFilter(app=app, name=name, live_only=live_only, before=before, limit=limit)
    return answer(await services(request).sandboxes.list(workspace(request), which, _tags(tag)))


@router.post("")
@describe(body=SandboxRequest, answer=SandboxView)
async def create(request: Request) -> Response:
    """Start a sandbox; answered once it runs."""
    return answer(
        await services(request).sandboxes.create(workspace(request), await read(request, SandboxRequest)), 201
    )


@router.get("/{sandbox}")
@describe(answer=SandboxView)
async def show(request: Request, sandbox: str) -> Response:
    return answer(await services(request).sandboxes.get(workspace(request), sandbox))


@router.get("/{sandbox}/wait")
@describe(answer=SandboxView)
async def wait(request: Request, sandbox: str, timeout_s: commands.Wait = 60) -> Response:
    """The sandbox when it has ended, or as it is after so long."""
    work = services(request).sandboxes.wait(workspace(request), sandbox, timeout_s)
    return answer(await while_connected(request, work))


@router.post("/{sandbox}/terminate")
@describe(answer=SandboxView)
async def terminate(request: Request, sandbox: str) -> Response:
    """End a sandbox and everything in it."""
    return answer(await services(request).sandboxes.terminate(workspace(request), sandbox))


@router.put("/{sandbox}/tags")
@describe(body=TagsRequest, answer=SandboxView)
async def set_tags(request: Request, sandbox: str) -> Response:
    tags = (await read(request, TagsRequest)).tags
    return answer(await services(request).sandboxes.set_tags(workspace(request), sandbox, tags))


@router.get("/{sandbox}/tunnels")
@describe(answer=list[TunnelView])
async def tunnels(request: Request, sandbox: str) -> Response:
    """Where its ports are reached from this machine."""
    return answer(services(request).sandboxes.tunnels(workspace(request), sandbox))


@router.post("/{sandbox}/snapshot")
@describe(answer=SnapshotView)
async def snapshot(request: Request, sandbox: str) -> Response:
    """Keep its files as an image."""
    return answer(await services(request).sandboxes.snapshot(workspace(request), sandbox))


commands.add_routes(router, "sandbox", lambda s: s.sandboxes)


def _tags(given: list[str] | None) -> dict[str, str] | None:
    if given is None:
        return None
    wrong = next((t for t in given if "=" not in t), None)
    if wrong is not None:
        msg = f"tag {wrong[:100]!r} is not of the form KEY=VALUE"
        raise InvalidError(msg)
    return {key: value for key, _, value in (t.partition("=") for t in given)}
