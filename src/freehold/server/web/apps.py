"""Pages of apps: the list, one app, and its actions stop and roll back."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from freehold.core.states import AppState
from freehold.protocol.schemas import AppView, CallView
from freehold.server.api.contract import Services
from freehold.server.api.exchange import workspace
from freehold.server.store.rows import CallFilter
from freehold.server.web import csrf
from freehold.server.web.charts import durations
from freehold.server.web.logs import LogPages
from freehold.server.web.page import PageRoute, render, seen

_STRIP = 24  # calls in the strip beside an app
_POINTS = 400  # calls in the chart of durations
_RECENT = 15
_GONE = 5  # instances that have ended, beside those that run


class AppPages:
    def __init__(self, services: Services, logs: LogPages) -> None:
        self._services = services
        self._logs = logs

    def router(self) -> APIRouter:
        router = APIRouter(route_class=PageRoute, include_in_schema=False)
        router.add_api_route("/", self.home, methods=["GET"])
        router.add_api_route("/apps", self.index, methods=["GET"])
        router.add_api_route("/apps/{ref}", self.show, methods=["GET"])
        guarded = [Depends(csrf.check)]
        router.add_api_route("/apps/{ref}/stop", self.stop, methods=["POST"], dependencies=guarded)
        router.add_api_route("/apps/{ref}/rollback", self.rollback, methods=["POST"], dependencies=guarded)
        return router

    async def home(self) -> Response:
        return RedirectResponse("/apps", status_code=303)

    async def index(self, request: Request) -> Response:
        everything = request.query_params.get("all") == "1"
        found, calls = await asyncio.gather(
            self._services.apps.list(workspace(request)),
            self._services.calls.list(workspace(request), CallFilter(limit=500)),
        )
        shown = [app for app in found if everything or app.state is not AppState.STOPPED]
        return render(
            request, "apps.html", apps=sorted(shown, key=_prominence), everything=everything,
            hidden=len(found) - len(shown), strips=_strips(calls),
        )  # fmt: skip

    async def show(self, request: Request, ref: str) -> Response:
        app = await self._services.apps.get(workspace(request), ref)
        versions, instances, calls = await asyncio.gather(
            self._services.apps.history(workspace(request), app.id),
            self._services.instances.list(workspace(request), app=app.id, live_only=False, limit=30),
            self._services.calls.list(workspace(request), CallFilter(app=app.id, limit=_POINTS)),
        )
        live = [i for i in instances if i.state.live]
        gone = [i for i in instances if not i.state.live]
        return render(
            request, "app.html", app=app, versions=versions, instances=[*live, *gone[:_GONE]], calls=calls[:_RECENT],
            points=durations(calls), log=await self._logs.panel(_whose_logs(app), workspace(request)),
        )  # fmt: skip

    async def stop(self, request: Request, ref: str) -> Response:
        app = await self._services.apps.get(workspace(request), ref)
        await self._services.apps.stop(workspace(request), app.id)
        return seen(f"/apps/{app.id}", "app-stopped")

    async def rollback(self, request: Request, ref: str, version: Annotated[int, Form()]) -> Response:
        app = await self._services.apps.get(workspace(request), ref)
        await self._services.apps.rollback(workspace(request), app.id, version)
        return seen(f"/apps/{app.id}", "rolled-back")


def _whose_logs(app: AppView) -> dict[str, str]:
    """A deployed app's name is its own; runs of one program share theirs."""
    return {"app": app.name} if app.state is AppState.DEPLOYED else {"app": app.name, "app_id": app.id}


def _prominence(app: AppView) -> tuple[bool, bool, float]:
    """Live before stopped, deployed before ephemeral, new before old."""
    return (app.state is AppState.STOPPED, app.state is not AppState.DEPLOYED, -app.created)


def _strips(calls: Sequence[CallView]) -> dict[str, list[CallView]]:
    """The newest calls of each app, oldest first, as a strip is read."""
    by_app: defaultdict[str, list[CallView]] = defaultdict(list)
    for call in calls:
        if len(by_app[call.app_id]) < _STRIP:
            by_app[call.app_id].append(call)
    return {app: found[::-1] for app, found in by_app.items()}
