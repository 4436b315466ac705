"""The dashboard over played services, behind the real gatekeeper, as tests and the preview use it."""

from fastapi import FastAPI
from tests.unit.web.fakes import World

from freehold.server.api.application import build_api
from freehold.server.api.auth import Authority
from freehold.server.api.contract import ApiConfig
from freehold.server.web import build_web, page_access, render_login, static_files

TOKEN = "fh-test-token"


def dashboard(world: World) -> FastAPI:
    services = world.services()
    pages = build_web(services)
    app = build_api(
        services,
        Authority(token=TOKEN, key=b"k" * 32),
        ApiConfig(host="127.0.0.1"),
        login_page=render_login,
        pages=pages.routes,
        page_access=page_access(pages),
    )
    app.mount("/static", static_files())
    return app
