"""Sandboxes, the commands that run in them, and their streams."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from freehold.core.errors import InvalidError
from freehold.protocol.schemas import (
    CommandRequest,
    CommandView,
    SandboxRequest,
    SandboxView,
    SignalRequest,
    SizeRequest,
    SnapshotView,
    TagsRequest,
    TunnelView,
)
from freehold.server.api.exchange import answer, read, services, while_connected, workspace
from freehold.server.api.openapi import describe
from freehold.server.store.rows import SandboxFilter

router = APIRouter(prefix="/v1/sandboxes", tags=["sandboxes"])
Wait = Annotated[float, Query(ge=0, le=300, description="seconds to wait for its end")]


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
async def wait(request: Request, sandbox: str, timeout_s: Wait = 60) -> Response:
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


@router.post("/{sandbox}/commands")
@describe(body=CommandRequest, answer=CommandView)
async def run(request: Request, sandbox: str) -> Response:
    """Start a command; its streams are read and written apart."""
    view = await services(request).sandboxes.run(workspace(request), sandbox, await read(request, CommandRequest))
    return answer(view, 201)


@router.get("/{sandbox}/commands/{command}")
@describe(answer=CommandView)
async def show_command(request: Request, sandbox: str, command: str, timeout_s: Wait = 0) -> Response:
    """A command when it has ended, or as it is after so long. The sandbox's own is `main`."""
    work = services(request).sandboxes.wait_command(workspace(request), sandbox, command, timeout_s)
    return answer(await (while_connected(request, work) if timeout_s else work))


@router.get("/{sandbox}/commands/{command}/{pipe}")
async def output(request: Request, sandbox: str, command: str, pipe: Literal["stdout", "stderr"], offset: Annotated[int, Query(ge=0)] = 0) -> Response:  # fmt: skip
    """Bytes as the command writes them, to the stream's end. What stands before `offset` is kept no longer."""
    found = services(request).sandboxes.output(workspace(request), sandbox, command, pipe)

    async def pieces() -> AsyncIterator[bytes]:
        at = offset
        while True:
            data, at = await found.read(at)
            if not data:
                return
            yield data

    return StreamingResponse(pieces(), media_type="application/octet-stream", headers={"cache-control": "no-store"})


@router.post("/{sandbox}/commands/{command}/stdin")
async def put_input(request: Request, sandbox: str, command: str, eof: bool = False) -> Response:
    """Write the body to its standard input; answered once all of it is taken. With eof=true nothing comes after it."""
    stdin = services(request).sandboxes.command(workspace(request), sandbox, command).stdin
    try:
        async for part in request.stream():
            await stdin.write(part)
    except ClientDisconnect:
        raise InvalidError("the sender left before its input was whole") from None
    if eof:
        await stdin.end()
    return Response(status_code=204)


@router.post("/{sandbox}/commands/{command}/signal")
@describe(body=SignalRequest)
async def signal(request: Request, sandbox: str, command: str) -> Response:
    """Send a signal to a command and what it started."""
    number = (await read(request, SignalRequest)).number
    await services(request).sandboxes.signal(workspace(request), sandbox, command, number)
    return Response(status_code=204)


@router.post("/{sandbox}/commands/{command}/size")
@describe(body=SizeRequest)
async def resize(request: Request, sandbox: str, command: str) -> Response:
    """Tell a command's terminal how large it is."""
    size = await read(request, SizeRequest)
    await services(request).sandboxes.resize(workspace(request), sandbox, command, (size.rows, size.columns))
    return Response(status_code=204)


def _tags(given: list[str] | None) -> dict[str, str] | None:
    if given is None:
        return None
    wrong = next((t for t in given if "=" not in t), None)
    if wrong is not None:
        msg = f"tag {wrong[:100]!r} is not of the form KEY=VALUE"
        raise InvalidError(msg)
    return {key: value for key, _, value in (t.partition("=") for t in given)}
