"""Puts the control API together. `server.app` calls `build_api` once, with the real services."""

from collections.abc import Iterable, Mapping

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from freehold.core.errors import Error
from freehold.server.api import (
    apps,
    blobs,
    buckets,
    calls,
    dicts,
    environments,
    failures,
    functions,
    health,
    images,
    instances,
    link,
    login,
    logs,
    openapi,
    pools,
    queues,
    sandboxes,
    secrets,
    status,
    terminals,
    volumes,
)
from freehold.server.api.auth import TABLE, Access, Authority
from freehold.server.api.contract import ApiConfig, LoginPage, Services
from freehold.server.api.exchange import Context
from freehold.server.api.gatekeeper import Gatekeeper

_NOUNS = (
    dicts,  # first: asked the most often
    queues,
    health,
    status,
    apps,
    functions,
    pools,
    calls,
    instances,
    sandboxes,
    images,
    logs,
    secrets,
    volumes,
    environments,
    terminals,
    buckets,
    blobs,
    login,
    openapi,
    link,
)


def _plain_login(request: Request, *, error: str | None = None, next_path: str = "/") -> Response:
    """The form without the dashboard's looks; its fields are the dashboard's too."""
    del request, next_path
    text = "<!doctype html><title>Sign in</title><form method=post action=/login><input type=password name=token><button>Sign in</button></form>"
    return HTMLResponse(text, 401 if error else 200)


def build_api(
    services: Services,
    authority: Authority,
    config: ApiConfig,
    *,
    login_page: LoginPage = _plain_login,
    pages: Iterable[BaseRoute] = (),
    page_access: Mapping[str, Access] | None = None,
) -> FastAPI:
    """The application. `pages` are the dashboard's routes; each must stand in `page_access` ("GET /apps": Access.ADMIN)."""
    app = FastAPI(
        title="Freehold", version="1", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.context = Context(services=services, authority=authority, config=config, login_page=login_page)
    for noun in _NOUNS:
        app.router.routes.extend(noun.router.routes)
    app.router.routes.extend(pages)
    app.add_exception_handler(Error, failures.on_error)
    app.add_exception_handler(OSError, failures.on_os_error)
    app.add_exception_handler(RequestValidationError, failures.on_invalid)
    app.add_exception_handler(HTTPException, failures.on_http)
    table = {**TABLE, **(page_access or {})}
    app.state.table = table
    app.add_middleware(Gatekeeper, routes=app.router.routes, table=table, authority=authority, config=config)
    return app
