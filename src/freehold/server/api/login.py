"""Sign-in for the dashboard: a one-time link or the token, turned into a signed cookie."""

from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from freehold.core.errors import AuthError, PermissionDeniedError
from freehold.server.api.auth import CODE_S, SESSION_COOKIE, SESSION_S
from freehold.server.api.exchange import answer, context, read_bytes
from freehold.server.api.gatekeeper import same_origin

router = APIRouter(tags=["sign-in"])


@router.get("/login")
async def login_page(
    request: Request,
    code: Annotated[str | None, Query(max_length=200)] = None,
    next_path: Annotated[str, Query(alias="next")] = "/",
) -> Response:
    """The sign-in form; with a one-time code, signs in at once."""
    ours = context(request)
    if code is None:
        return ours.login_page(request, next_path=local_path(next_path))
    try:
        ours.authority.redeem(code)
    except AuthError as error:
        return ours.login_page(request, error=str(error), next_path=local_path(next_path))
    return _signed_in(request, next_path)


@router.post("/login")
async def login(request: Request) -> Response:
    """Sign in with the token, from the form."""
    if "origin" in request.headers and not same_origin(request.headers):
        msg = "sign in from this server's own page"
        raise PermissionDeniedError(msg)
    form = parse_qs((await read_bytes(request)).decode("utf-8", "replace"))
    token, next_path = form.get("token", [""])[0].strip(), form.get("next", ["/"])[0]
    ours = context(request)
    principal = ours.authority.by_token(token)
    if principal is None or principal.name != "token":
        msg = "This is not the server's token; it is the content of the file `token` in its home."
        return ours.login_page(request, error=msg, next_path=local_path(next_path))
    return _signed_in(request, next_path)


@router.post("/logout")
async def logout() -> Response:
    response = RedirectResponse("/login", 303)
    response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="strict")
    return response


@router.post("/v1/login/codes")
async def new_code(request: Request) -> Response:
    """A code that signs a browser in once, at /login?code=…"""
    code = context(request).authority.new_code()
    return answer({"code": code, "path": f"/login?code={code}", "expires_s": CODE_S}, 201)


def local_path(path: str) -> str:
    """A path on this server; anything that a browser could take for another site becomes the front page."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if plain and "\\" not in path else "/"


def _signed_in(request: Request, next_path: str) -> Response:
    response = RedirectResponse(local_path(next_path), 303, headers={"cache-control": "no-store"})
    response.set_cookie(
        SESSION_COOKIE,
        context(request).authority.new_session(),
        max_age=int(SESSION_S),
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.headers.get("x-forwarded-proto") == "https",
    )
    return response
