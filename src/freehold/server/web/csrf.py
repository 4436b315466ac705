"""Forms are taken only from our own pages: the browser's Origin must be ours, and the form must carry its session's token."""

import hashlib
import hmac

from fastapi import Request

from freehold.core.errors import PermissionDeniedError
from freehold.server.api.auth import SESSION_COOKIE
from freehold.server.api.gatekeeper import same_origin

FIELD = "csrf"
_STALE = "This form is not from a page of yours, or its sign-in has ended. Reload the page and try again."


def token(request: Request) -> str:
    """A token that only a page of this session can know: the cookie is secret, and its digest does not give it away."""
    session = request.cookies.get(SESSION_COOKIE, "")
    return hmac.new(session.encode(), b"freehold form", hashlib.sha256).hexdigest() if session else ""


async def check(request: Request) -> None:
    """Raise PermissionDeniedError for a form that another site sent. A bearer token is no cookie: nobody sends it unknowingly."""
    if not _same_origin(request):
        raise PermissionDeniedError(_STALE)
    if SESSION_COOKIE not in request.cookies:
        return
    given = (await request.form()).get(FIELD)
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), token(request).encode()):
        raise PermissionDeniedError(_STALE)


def _same_origin(request: Request) -> bool:
    origin = request.headers.get("origin")
    if origin is None:  # a browser always names it when it posts; without a cookie there is nothing to abuse
        return SESSION_COOKIE not in request.cookies
    return same_origin(request.headers)
