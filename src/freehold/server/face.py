"""The HTTP face: control API and dashboard, put together. Its frameworks take half a second to import, so it comes up last."""

from pathlib import Path

from fastapi import FastAPI

from freehold.server.api.application import build_api
from freehold.server.api.auth import Authority
from freehold.server.api.contract import ApiConfig, Services
from freehold.server.api.door import ApiDoor
from freehold.server.web import build_web, page_access, render_login, static_files


def build(services: Services, authority: Authority, config: ApiConfig) -> FastAPI:
    """The application with all its routes."""
    web = build_web(services)
    api = build_api(
        services, authority, config, login_page=render_login, pages=web.routes, page_access=page_access(web)
    )
    api.mount("/static", static_files())
    return api


async def open_face(services: Services, authority: Authority, config: ApiConfig, *, socket: Path) -> ApiDoor:
    """Serve it on its Unix socket."""
    door = ApiDoor(build(services, authority, config), socket)
    await door.open()
    return door
