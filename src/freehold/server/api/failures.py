"""Every error as `{"error": {...}}`: core.errors by the one table, bad requests with field, value and fix, the rest as 500."""

import logging
from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from freehold.core.errors import AuthError, Error, InternalError, InvalidError, NotFoundError, ResourceExhaustedError
from freehold.core.oserrors import machine_error
from freehold.protocol.errors import http_status
from freehold.protocol.schemas import ErrorBody

_logger = logging.getLogger(__name__)
_SHOWN = 100
UNTOLD = "the server failed on this request; its log has the cause under this request id"


class TooLargeError(InvalidError):
    """A body over the limit; answered with 413."""

    status = 413


class MethodError(InvalidError):
    """A method that this path does not have; answered with 405."""

    status = 405


def error_response(error: Error, request_id: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """The one form in which an error leaves the server."""
    status: int = getattr(error, "status", None) or http_status(error)
    out = dict(headers or {})
    if status in (429, 503):
        retry_after: float = getattr(error, "retry_after_s", None) or 1.0
        out["retry-after"] = str(max(1, round(retry_after)))
    if isinstance(error, AuthError):
        out["www-authenticate"] = "Bearer"
    return Response(error_bytes(error, request_id), status, out, "application/json")


def error_bytes(error: Error, request_id: str = "") -> bytes:
    name = "InvalidError" if hasattr(error, "status") else type(error).__name__
    return msgspec.json.encode(
        {"error": ErrorBody(code=error.code, message=str(error), type=name, request_id=request_id)}
    )


def request_id(request: Request) -> str:
    return request.scope.get("freehold.request_id", "")


async def on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, Error)
    if error.code == "internal":
        _logger.error("request_failed", extra={"request_id": request_id(request)}, exc_info=error)
        error = InternalError(UNTOLD)
    return error_response(error, request_id(request))


async def on_os_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, OSError)
    told = machine_error(error)
    if not isinstance(told, ResourceExhaustedError):  # the rest may say more of our files than a caller should know
        raise error
    _logger.error("request_failed", extra={"request_id": request_id(request)}, exc_info=error)
    return error_response(told, request_id(request))


async def on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = "; ".join(_fault(f) for f in error.errors()[:5])
    return error_response(InvalidError(faults), request_id(request))


async def on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        msg = f"{request.url.path[:_SHOWN]!r} does not take {request.method}; it takes {allowed or 'other methods'}"
        return error_response(MethodError(msg), request_id(request), error.headers)
    if error.status_code == 404:
        msg = f"there is no {request.method} {request.url.path[:_SHOWN]!r}; GET /docs shows what there is"
        return error_response(NotFoundError(msg), request_id(request))
    fault = InvalidError(str(error.detail))
    fault.status = error.status_code  # type: ignore[attr-defined]
    return error_response(fault, request_id(request), error.headers)


def _fault(fault: Mapping[str, Any]) -> str:
    where = [str(part) for part in fault.get("loc", ())]
    place, name = (where[0] if where else "body"), ".".join(where[1:])
    value = repr(fault.get("input"))[:_SHOWN]
    shown = "" if fault.get("type") == "missing" else f" is {value}"
    return f"{place} parameter {name!r}{shown}: {str(fault.get('msg', '')).lower()}"
