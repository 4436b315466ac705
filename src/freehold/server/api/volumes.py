"""Volumes and the files in them. Paths are checked by the service, which opens nothing outside the volume's root."""

from urllib.parse import unquote_to_bytes

from fastapi import APIRouter, Request
from starlette.responses import Response

from freehold.core.errors import InvalidError
from freehold.protocol.schemas import CopyRequest, FileView, RenameRequest, VolumeView
from freehold.server.api.exchange import answer, read, services, upload, workspace
from freehold.server.api.files import file_response
from freehold.server.api.openapi import describe

router = APIRouter(prefix="/v1/volumes", tags=["volumes"])


@router.get("")
@describe(answer=list[VolumeView])
async def list_volumes(request: Request) -> Response:
    return answer(await services(request).volumes.list(workspace(request)))


@router.get("/{name}")
@describe(answer=VolumeView)
async def show(request: Request, name: str, count: bool = True) -> Response:
    """A volume, by name or id; with count=false, without the number and size of its files."""
    return answer(await services(request).volumes.get(workspace(request), name, count=count))


@router.put("/{name}")
@describe(answer=VolumeView)
async def create(request: Request, name: str) -> Response:
    """Create a volume; AlreadyExistsError when there is one of that name."""
    return answer(await services(request).volumes.create(workspace(request), name), 201)


@router.delete("/{name}")
async def delete(request: Request, name: str) -> Response:
    """Delete a volume and all that is in it."""
    await services(request).volumes.delete(workspace(request), name)
    return Response(status_code=204)


@router.post("/{name}/rename")
@describe(body=RenameRequest, answer=VolumeView)
async def rename(request: Request, name: str) -> Response:
    """Give a volume another name; AlreadyExistsError when that is taken."""
    body = await read(request, RenameRequest)
    return answer(await services(request).volumes.rename(workspace(request), name, body.name))


@router.post("/{name}/copy")
@describe(body=CopyRequest)
async def copy(request: Request, name: str) -> Response:
    """Copy files within a volume, as `cp SOURCES TARGET` does; folders with `recursive`."""
    body = await read(request, CopyRequest)
    await services(request).volumes.copy(workspace(request), name, body.sources, body.target, recursive=body.recursive)
    return Response(status_code=204)


@router.get("/{name}/list")
@describe(answer=list[FileView])
async def list_files(request: Request, name: str, path: str = "", recursive: bool = False) -> Response:
    return answer(await services(request).volumes.ls(workspace(request), name, path, recursive=recursive))


@router.get("/{name}/files/{path:path}")
async def get_file(request: Request, name: str, path: str) -> Response:
    """A file's bytes; a Range is honoured."""
    path = _plain(request, path)
    return file_response(request, await services(request).volumes.open_read(workspace(request), name, path))


@router.put("/{name}/files/{path:path}")
@describe(answer=FileView)
async def put_file(request: Request, name: str, path: str, force: bool = True, executable: bool = False) -> Response:
    """Write a file from the body, whole or not at all. With force=false an existing one is not replaced."""
    path = _plain(request, path)
    view = await services(request).volumes.put(
        workspace(request), name, path, upload(request), force=force, executable=executable
    )
    return answer(view, 201)


@router.delete("/{name}/files/{path:path}")
async def remove(request: Request, name: str, path: str, recursive: bool = False) -> Response:
    path = _plain(request, path)
    await services(request).volumes.remove(workspace(request), name, path, recursive=recursive)
    return Response(status_code=204)


def _plain(request: Request, path: str) -> str:
    """The path, decoded once and no more; a path with a NUL or with bytes that are no UTF-8 is refused here."""
    raw: bytes = request.scope.get("raw_path") or b""
    if b"\0" in unquote_to_bytes(raw) or "\ufffd" in path:
        msg = f"path {path[:100]!r} has a NUL or is not UTF-8; choose another name"
        raise InvalidError(msg)
    return path
