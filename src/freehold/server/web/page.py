"""Draws pages: the template environment, the headers of every page, and the route class that turns errors into pages."""

import json
import logging
import shlex
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict, is_dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlencode

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute

from freehold.core.errors import Error
from freehold.protocol.errors import http_status
from freehold.protocol.schemas import EndpointView
from freehold.server.web import charts, csrf, display
from freehold.server.web.files import static_url

if TYPE_CHECKING:
    from jinja2 import Environment

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_log = logging.getLogger(__name__)
NOTES = {
    "app-stopped": "The app is stopping: its instances finish what they run.",
    "rolled-back": "Rolled back. New instances run the chosen version.",
    "instance-stopped": "The instance is stopping.",
    "call-cancelled": "The call is being cancelled.",
}


@cache
def environment() -> "Environment":
    """Jinja is loaded, and a template compiled, when a page is first drawn: the server starts without them."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    env = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True, auto_reload=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    filters, names = cast("dict[str, Any]", env.filters), cast("dict[str, Any]", env.globals)
    filters |= {
        "duration": display.duration, "size": display.size, "mib": display.mib, "ago": display.ago, "iso": display.iso,
        "absolute": display.absolute, "short_id": display.short_id, "clock_time": display.clock_time,
        "log_text": display.log_text, "web_url": display.web_url, "segment": _segment,
        "path_segments": _path_segments, "curl": _curl, "json_text": _json_text, "shell": shlex.quote,
    }  # fmt: skip
    names |= {
        "static": static_url, "plural": display.plural, "waterfall": charts.waterfall, "startup_s": charts.startup_s, "share": charts.share,
        "with_query": _with_query,
    }  # fmt: skip
    return env


def render(request: Request, template: str, *, status_code: int = 200, **context: Any) -> HTMLResponse:
    """Draw a page. `note` in the query names one of NOTES; free text is never shown from an address."""
    text = environment().get_template(template).render(
        now=time.time(), path=request.url.path, query=dict(request.query_params),
        base_url=str(request.base_url).rstrip("/"), csrf=csrf.token(request), note=NOTES.get(request.query_params.get("note", "")), **context,
    )  # fmt: skip
    return HTMLResponse(text, status_code=status_code, headers=HEADERS)


def render_login(request: Request, *, error: str | None = None, next_path: str = "/") -> HTMLResponse:
    """The sign-in page; its form posts `token` and `next` to /login. `next_path` stays on this server."""
    safe = next_path if next_path.startswith("/") and not next_path.startswith(("//", "/\\")) else "/"
    return render(request, "login.html", status_code=401 if error else 200, error=error, next_path=safe)


def seen(path: str, note: str) -> RedirectResponse:
    """Back to a page after a form was taken, so that a reload does not send it again."""
    return RedirectResponse(f"{path}?{urlencode({'note': note})}", status_code=HTTPStatus.SEE_OTHER, headers=HEADERS)


class PageRoute(APIRoute):
    """Answers errors with a page instead of JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def draw(request: Request) -> Response:
            try:
                return await handle(request)
            except Error as error:
                return _error_page(request, http_status(error), str(error))
            except HTTPException as error:
                return _error_page(request, error.status_code, str(error.detail))
            except RequestValidationError:
                return _error_page(request, 400, "A field of the form is missing or has a value that it cannot have.")
            except Exception:  # noqa: BLE001 (the edge of a request)
                _log.exception("page_failed", extra={"path": request.url.path})
                return _error_page(request, 500, "The server failed on this page; its log has the cause.")

        return draw


def _error_page(request: Request, status: int, message: str) -> HTMLResponse:
    title = {s.value: s.phrase for s in HTTPStatus}.get(status, "Error")
    return render(request, "error.html", status_code=status, title=title, message=message)


def _segment(value: str) -> str:
    """One segment of a path, whatever characters it holds."""
    return quote(value, safe="")


def _path_segments(value: str) -> str:
    return quote(value.strip("/"), safe="/")


def _curl(endpoint: EndpointView) -> str:
    """The command line that asks an endpoint."""
    method = f"-X {shlex.quote(endpoint.method)} " if endpoint.method not in ("", "GET") else ""
    token = '-H "Authorization: Bearer $(cat ~/.freehold/token)" ' if endpoint.requires_proxy_auth else ""
    return f"curl {method}{token}{shlex.quote(endpoint.url)}"


def _with_query(path: str, query: dict[str, str], **changes: str | None) -> str:
    """The same page with some of its query changed; `None` leaves a key out."""
    merged = {k: v for k, v in (query | changes).items() if v and k != "note"}
    return f"{path}?{urlencode(merged)}" if merged else path


def _json_text(value: Any) -> str:
    """JSON for a data attribute; autoescape quotes it."""
    return json.dumps(value, default=lambda v: asdict(v) if is_dataclass(v) and not isinstance(v, type) else str(v))
