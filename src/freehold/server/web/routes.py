"""All routes of the dashboard as one router; `server.app` mounts it behind the sign-in."""

from fastapi import APIRouter, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from freehold.server.api.auth import Access
from freehold.server.api.contract import Services
from freehold.server.web import live
from freehold.server.web.apps import AppPages
from freehold.server.web.calls import CallPages
from freehold.server.web.instances import InstancePages
from freehold.server.web.logs import LogPages
from freehold.server.web.page import PageRoute, render
from freehold.server.web.storage import StoragePages


def build_web(services: Services) -> APIRouter:
    """The pages over these services. Every route here wants a session; /login and /static stand outside."""
    logs = LogPages(services)
    router = APIRouter(include_in_schema=False)  # flat: the authorisation table knows routes, not routers
    for pages in (
        AppPages(services, logs), InstancePages(services, logs), CallPages(services, logs), logs,
        StoragePages(services), _PlatformPages(services),
    ):  # fmt: skip
        router.routes.extend(pages.router().routes)
    return router


def page_access(pages: APIRouter) -> dict[str, Access]:
    """The rows of the dashboard in the authorisation table: its files are for everybody, every page is for the owner's session."""
    routes = [route for route in pages.routes if isinstance(route, APIRoute)]
    access = {f"{method} {route.path}": Access.ADMIN for route in routes for method in sorted(route.methods or ())}
    return access | {"GET /static": Access.PUBLIC}


class _PlatformPages:
    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        router = APIRouter(route_class=PageRoute, include_in_schema=False)
        router.add_api_route("/status", self.status, methods=["GET"])
        router.add_api_route("/live", self.live, methods=["GET"])
        return router

    async def status(self, request: Request) -> Response:
        return render(request, "status.html", status=self._services.status.status())

    async def live(self, request: Request) -> Response:
        """Server-sent events for pages: `change` when something of the asked kinds happened, at most every two seconds."""
        kinds = frozenset(filter(None, request.query_params.get("kinds", "").split(",")))
        return live.stream(live.changes(self._services.events, kinds))
