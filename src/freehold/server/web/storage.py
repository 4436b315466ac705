"""Pages of secrets, names and keys only, and of volumes: the list, their folders, and a file to take home."""

from pathlib import PurePosixPath
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import Response

from freehold.server.api.contract import Services
from freehold.server.api.exchange import workspace
from freehold.server.api.files import file_response
from freehold.server.web.page import PageRoute, render


class StoragePages:
    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        router = APIRouter(route_class=PageRoute, include_in_schema=False)
        router.add_api_route("/secrets", self.secrets, methods=["GET"])
        router.add_api_route("/volumes", self.volumes, methods=["GET"])
        router.add_api_route("/volumes/{name}", self.browse, methods=["GET"])
        router.add_api_route("/volumes/{name}/size", self.size, methods=["GET"])
        router.add_api_route("/volumes/{name}/browse/{path:path}", self.browse, methods=["GET"])
        router.add_api_route("/volumes/{name}/file/{path:path}", self.download, methods=["GET"])
        return router

    async def secrets(self, request: Request) -> Response:
        return render(request, "secrets.html", secrets=await self._services.secrets.list(workspace(request)))

    async def volumes(self, request: Request) -> Response:
        return render(request, "volumes.html", volumes=await self._services.volumes.list(workspace(request)))

    async def size(self, request: Request, name: str) -> Response:
        """What a volume holds, for its row in the list: counting walks all of it, so the list does not wait for it."""
        view = await self._services.volumes.get(workspace(request), name)
        return render(request, "volume_size.html", volume=view)

    async def browse(self, request: Request, name: str, path: str = "") -> Response:
        files = await self._services.volumes.ls(workspace(request), name, path)
        ordered = sorted(files, key=lambda f: (f.type != "directory", f.path))
        return render(request, "volume.html", name=name, folder=path, crumbs=_crumbs(path), files=ordered)

    async def download(self, request: Request, name: str, path: str) -> Response:
        """As an attachment, whatever it is: a file of a program must not become a page of ours."""
        file = await self._services.volumes.open_read(workspace(request), name, path)
        headers = {
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(PurePosixPath(path).name, safe='')}",
            "Content-Security-Policy": "sandbox; default-src 'none'",
        }
        return file_response(request, file, headers)


def _crumbs(path: str) -> list[tuple[str, str]]:
    """(name, path so far) of each folder on the way down."""
    parts = [part for part in path.split("/") if part]
    return [(part, "/".join(parts[: i + 1])) for i, part in enumerate(parts)]
