"""Pages of instances: the list, one instance with its start-up waterfall, and stop."""

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from freehold.server.api.contract import Services
from freehold.server.api.exchange import workspace
from freehold.server.web import csrf
from freehold.server.web.logs import LogPages
from freehold.server.web.page import PageRoute, render, seen

_LIMIT = 200


class InstancePages:
    def __init__(self, services: Services, logs: LogPages) -> None:
        self._services = services
        self._logs = logs

    def router(self) -> APIRouter:
        router = APIRouter(route_class=PageRoute, include_in_schema=False)
        router.add_api_route("/instances", self.index, methods=["GET"])
        router.add_api_route("/instances/{instance}", self.show, methods=["GET"])
        router.add_api_route(
            "/instances/{instance}/stop", self.stop, methods=["POST"], dependencies=[Depends(csrf.check)]
        )
        return router

    async def index(self, request: Request) -> Response:
        everything = request.query_params.get("all") == "1"
        found = await self._services.instances.list(workspace(request), live_only=not everything, limit=_LIMIT)
        return render(request, "instances.html", instances=found, everything=everything, limit=_LIMIT)

    async def show(self, request: Request, instance: str) -> Response:
        view = await self._services.instances.get(workspace(request), instance)
        log = await self._logs.panel({"app": view.app, "instance": view.id}, workspace(request))
        return render(request, "instance.html", instance=view, log=log)

    async def stop(self, request: Request, instance: str) -> Response:
        view = await self._services.instances.get(workspace(request), instance)
        await self._services.instances.stop(workspace(request), view.id)
        return seen(f"/instances/{view.id}", "instance-stopped")
