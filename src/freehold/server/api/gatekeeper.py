"""The one middleware: whose request it is, whether the matched route lets them in, the request's id, its log record.

A request is refused unless its route stands in the authorisation table and its principal reaches the access named there.
"""

import ipaddress
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request, cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from freehold.core.errors import AuthError, Error, InternalError, InvalidError, PermissionDeniedError, VersionError
from freehold.core.ids import new_id
from freehold.protocol.version import ENVIRONMENT_HEADER, PROTOCOL_VERSION, VERSION_HEADER
from freehold.server.api.auth import SESSION_COOKIE, Access, Authority, Principal
from freehold.server.api.contract import ApiConfig
from freehold.server.api.failures import UNTOLD, error_response
from freehold.server.ingress.contract import RequestRecord

_logger = logging.getLogger(__name__)
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_ID_MAX = 128
_VERSION = str(PROTOCOL_VERSION)


class MisdirectedError(InvalidError):
    """The Host header names somebody else: a page that had its own name point here (DNS rebinding)."""

    status = 421


class Gatekeeper:
    """Wraps the application's router."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: list[BaseRoute],
        table: Mapping[str, Access],
        authority: Authority,
        config: ApiConfig,
    ) -> None:
        self._app, self._routes, self._table, self._authority, self._config = app, routes, table, authority, config
        self._loopback = is_loopback(config.host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        visit = _Visit(scope, send)
        scope["freehold.request_id"] = visit.request_id
        try:
            await self._admit(scope, receive, visit)
        except Exception as error:
            if not isinstance(error, Error):
                _logger.exception("request_failed", extra={"request_id": visit.request_id})
                error = InternalError(UNTOLD)
            if visit.status:
                raise
            visit.error = type(error).__name__
            await _refuse(error, scope, receive, visit)
        finally:
            self._config.on_request(visit.record())

    async def _admit(self, scope: Scope, receive: Receive, visit: "_Visit") -> None:
        headers = Headers(scope=scope)
        self._check_host(headers)
        visit.handler, known = self._match(scope)
        access = self._table.get(visit.key) if known else Access.CLIENT
        if access is not Access.PUBLIC:
            _check_version(headers)
        principal = self._in_environment(self._principal(headers), headers)
        scope["freehold.principal"] = principal
        redirect = self._authorise(access, principal, visit, scope, headers)
        if redirect is not None:
            await redirect(scope, receive, visit.send)
            return
        if principal is not None and principal.by_cookie:
            _check_origin(scope, headers)
        await self._app(scope, receive, visit.send)

    def _check_host(self, headers: Headers) -> None:
        host = headers.get("host", "")
        parts = _split(f"//{host}") if host and not set(host) & set("/@?#\\ ") else None
        name = parts.hostname if parts else None
        allowed = name in self._config.allowed_hosts or (is_loopback(name) if self._loopback else bool(name))
        if name is None or not allowed:
            msg = f"host {host[:100]!r} is not a name of this server; use localhost, or add it to allowed_hosts"
            raise MisdirectedError(msg)

    def _match(self, scope: Scope) -> tuple[str, bool]:
        """The template of the route that the router will choose, by the router's own rule; False: none takes this."""
        partial = ""
        for route in self._routes:
            match, _ = route.matches(scope)
            if match is Match.FULL:
                return getattr(route, "path", ""), True
            if match is Match.PARTIAL and not partial:
                partial = getattr(route, "path", "")
        return partial or "unmatched", False

    def _principal(self, headers: Headers) -> Principal | None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._authority.by_token(token.strip())
        cookie = cookie_parser(headers.get("cookie", "")).get(SESSION_COOKIE)
        return self._authority.by_session(cookie) if cookie else None

    def _in_environment(self, principal: Principal | None, headers: Headers) -> Principal | None:
        name = headers.get(ENVIRONMENT_HEADER)
        if principal is None or not name:
            return principal
        return replace(principal, workspace=self._authority.environment(principal.workspace, name))

    def _authorise(
        self, access: Access | None, principal: Principal | None, visit: "_Visit", scope: Scope, headers: Headers
    ) -> Response | None:
        if access is Access.PUBLIC or (access is Access.LOCAL and self._loopback):
            return None
        if principal is None:
            if scope["type"] == "http" and scope["method"] == "GET" and _wants_page(scope, headers):
                query = scope["query_string"].decode("latin-1")
                asked = scope["path"] + (f"?{query}" if query else "")
                return RedirectResponse(f"/login?next={quote(asked)}", 303)
            shown = "the token or session shown is not known here" if _showed(headers) else "no token was shown"
            msg = f"{shown}; send Authorization: Bearer with the content of the home's `token` file, or set FREEHOLD_TOKEN"
            raise AuthError(msg)
        if access is None:
            _logger.error("route_not_in_table", extra={"route": visit.key})
            msg = "this route is not open to anybody"
            raise PermissionDeniedError(msg)
        if access is not Access.CLIENT and principal.role is not Access.ADMIN:
            msg = f"an instance's token may not call {visit.key}; use the platform's own token"
            raise PermissionDeniedError(msg)
        return None


class _Visit:
    """One request on its way, as the record will tell it."""

    def __init__(self, scope: Scope, send: Send) -> None:
        given = Headers(scope=scope).get("x-request-id", "")
        self.request_id = (
            given if given.isascii() and given.isprintable() and 0 < len(given) <= _ID_MAX else new_id("rq")
        )
        self.method: str = "WS" if scope["type"] == "websocket" else scope["method"]
        self.handler, self.status, self.error = "unmatched", 0, ""
        self._send, self._started = send, time.perf_counter()

    @property
    def key(self) -> str:
        return f"{'GET' if self.method == 'HEAD' else self.method} {self.handler}"

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self.request_id
            headers[VERSION_HEADER] = _VERSION
        elif message["type"] == "websocket.accept":
            self.status = 101
        await self._send(message)

    def record(self) -> RequestRecord:
        return RequestRecord(
            method=self.method,
            handler=self.handler,
            status=self.status or 499,
            duration_ms=(time.perf_counter() - self._started) * 1000,
            request_id=self.request_id,
            error=self.error,
        )


async def _refuse(error: Error, scope: Scope, receive: Receive, visit: _Visit) -> None:
    response = error_response(error, visit.request_id)
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        visit.status = response.status_code
        await visit.send({"type": "websocket.close", "code": 1008, "reason": str(error)[:120]})
        return
    if scope["type"] == "websocket":
        visit.status = response.status_code
    await response(scope, receive, visit.send)


def _check_version(headers: Headers) -> None:
    spoken = headers.get(VERSION_HEADER)
    if spoken is not None and spoken != _VERSION:
        msg = (
            f"the client speaks protocol {spoken[:20]!r}, this server {_VERSION!r}; "
            "install the same version of freehold on both sides, and restart the server with `freehold down` and `freehold up`"
        )
        raise VersionError(msg)


def _check_origin(scope: Scope, headers: Headers) -> None:
    """A browser sends its cookie along with what other sites make it do: unsafe requests must come from our own pages."""
    if scope["type"] == "http" and scope["method"] in _SAFE_METHODS:
        return
    if not same_origin(headers):
        msg = f"a request with a session must come from this server's own pages, not from {headers.get('origin', 'elsewhere')[:100]!r}"
        raise PermissionDeniedError(msg)


def same_origin(headers: Mapping[str, str]) -> bool:
    """The request's Origin is the Host it was sent to; without an Origin, the browser says so itself."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site") == "same-origin"
    parts = _split(origin)
    return (
        parts is not None
        and parts.scheme in ("http", "https")
        and bool(parts.netloc)
        and parts.netloc.lower() == headers.get("host", "").lower()
    )


def _split(url: str) -> SplitResult | None:
    """The parts of a URL; None when it is none, such as one with half an address."""
    try:
        return urlsplit(url)
    except ValueError:
        return None


def is_loopback(name: str | None) -> bool:
    """A name or address that only this machine can reach itself by."""
    if name is None:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _wants_page(scope: Scope, headers: Headers) -> bool:
    return "text/html" in headers.get("accept", "") and not scope["path"].startswith("/v1/")


def _showed(headers: Headers) -> bool:
    return "authorization" in headers or SESSION_COOKIE in headers.get("cookie", "")


def access_key(route: Any) -> list[str]:
    """The keys under which a route must stand in the table."""
    path = getattr(route, "path", None)
    if path is None:
        return [f"? {type(route).__name__}"]
    methods = getattr(route, "methods", None)
    if methods:
        return [f"{m} {path}" for m in sorted(methods) if m != "HEAD"]
    return [f"WS {path}"] if type(route).__name__.endswith("WebSocketRoute") else [f"GET {path}"]


def unlisted(routes: list[BaseRoute], table: Mapping[str, Access]) -> list[str]:
    """Routes that the table forgot; a test fails on any."""
    return [key for route in routes for key in access_key(route) if key not in table]


__all__ = ["Gatekeeper", "Request", "access_key", "is_loopback", "same_origin", "unlisted"]
