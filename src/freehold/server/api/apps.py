"""Apps: create or deploy, list, show, stop, history, roll back."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from freehold.core.errors import PermissionDeniedError
from freehold.core.specs import AppSpec
from freehold.protocol.schemas import AppHandle, AppRequest, AppView, RollbackRequest, TagsRequest, VersionView
from freehold.server.api.auth import Access
from freehold.server.api.exchange import answer, principal, read, services, workspace
from freehold.server.api.openapi import describe

router = APIRouter(prefix="/v1/apps", tags=["apps"])


@router.post("")
@describe(body=AppRequest, answer=AppHandle)
async def create(request: Request) -> Response:
    """Create an ephemeral app, or deploy one. Its images must be built before (POST /v1/images)."""
    body = await read(request, AppRequest)
    who = body.client or principal(request).name
    looks_up = body.if_missing and body.mode == "deploy" and not body.replaces
    if principal(request).role is Access.CLIENT and (body.spec.functions or not looks_up):
        raise PermissionDeniedError(
            "an instance may make an app without functions, as App.lookup(create_if_missing=True) does; deploy others with the platform's own token"
        )
    return answer(await services(request).apps.create(workspace(request), body, who))


@router.post("/check")
@describe(body=AppSpec)
async def check(request: Request) -> Response:
    """Refuse an app that could not be created, before its files are sent and its images built: what its secrets, volumes and functions lack here.

    Values of secrets need not be sent. Nothing is made.
    """
    spec = await read(request, AppSpec)
    await services(request).apps.check(workspace(request), spec)
    return answer({"checked": spec.name})


@router.get("")
@describe(answer=list[AppView])
async def list_apps(request: Request) -> Response:
    return answer(await services(request).apps.list(workspace(request)))


@router.get("/{app}")
@describe(answer=AppView)
async def show(request: Request, app: str) -> Response:
    """One app, by name or id."""
    return answer(await services(request).apps.get(workspace(request), app))


@router.put("/{app}/tags")
@describe(body=TagsRequest)
async def tag(request: Request, app: str) -> Response:
    """Give an app these tags instead of those it has."""
    body = await read(request, TagsRequest)
    await services(request).apps.tag(workspace(request), app, body.tags)
    return answer({"tags": body.tags})


@router.post("/{app}/stop")
async def stop(request: Request, app: str) -> Response:
    """Stop an app; returns when its instances are gone."""
    await services(request).apps.stop(workspace(request), app)
    return answer({"stopped": app})


@router.get("/{app}/history")
@describe(answer=list[VersionView])
async def history(request: Request, app: str) -> Response:
    return answer(await services(request).apps.history(workspace(request), app))


@router.post("/{app}/rollback")
@describe(body=RollbackRequest, answer=AppHandle)
async def rollback(request: Request, app: str) -> Response:
    """Deploy an earlier version again; without one, the version before."""
    body = await read(request, RollbackRequest)
    return answer(await services(request).apps.rollback(workspace(request), app, body.version))
