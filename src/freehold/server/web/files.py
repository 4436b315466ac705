"""The files under /static: their versioned addresses, and the app that serves them with long caching."""

import hashlib
from functools import cache
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent / "static"


@cache
def static_url(path: str) -> str:
    """`/static/app.css?v=1a2b3c4d`: a new version has a new address, so browsers may keep the old one for ever."""
    digest = hashlib.sha256((FOLDER / path).read_bytes()).hexdigest()
    return f"/static/{path}?v={digest[:12]}"


def static_files() -> StaticFiles:
    """The app to mount at /static. It needs no sign-in: the sign-in page is drawn with it."""
    return _CachedFiles(directory=FOLDER, follow_symlink=False)


class _CachedFiles(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        versioned = scope.get("query_string", b"").startswith(b"v=")
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if versioned else "no-cache"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response
