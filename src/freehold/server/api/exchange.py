"""Reading requests and writing answers: msgspec on plain dataclasses, streams as NDJSON."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from freehold.core.errors import CancelledError, Error, InternalError, InvalidError
from freehold.server.api.auth import Authority, Principal
from freehold.server.api.contract import ApiConfig, LoginPage, Services
from freehold.server.api.failures import UNTOLD, TooLargeError, error_bytes, request_id

T = TypeVar("T")
_logger = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder(decimal_format="number")
_pack = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, kw_only=True)
class Context:
    """What one application's routes share; `app.state.context`."""

    services: Services
    authority: Authority
    config: ApiConfig
    login_page: LoginPage


def context(request: Request) -> Context:
    return request.app.state.context


def services(request: Request) -> Services:
    return request.app.state.context.services


def principal(request: Request) -> Principal:
    """Who sent this; the gatekeeper has let nobody else through."""
    return request.scope["freehold.principal"]


def workspace(request: Request) -> str:
    return principal(request).workspace


async def read(request: Request, kind: type[T]) -> T:
    """The body as `kind`. Raises InvalidError that names the field, TooLargeError beyond the limit."""
    data = await read_bytes(request)
    try:
        return msgspec.json.decode(data or b"{}", type=kind)
    except RecursionError:
        msg = "the request's body is nested too deeply"
        raise InvalidError(msg) from None
    except msgspec.ValidationError as error:
        msg = f"the request's body does not fit {kind.__name__}: {error}"
        raise InvalidError(msg) from None
    except msgspec.DecodeError as error:
        msg = f"the request's body is not JSON: {error}; send a JSON object with content-type application/json"
        raise InvalidError(msg) from None


async def read_packed(request: Request, kind: type[T], limit: int | None = None) -> T:
    """A msgpack body as `kind`. Raises InvalidError that names the field, TooLargeError beyond the limit."""
    data = await read_bytes(request, limit)
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        fits = "does not fit" if isinstance(error, msgspec.ValidationError) else "is not the msgpack of a"
        msg = f"the request's body {fits} {kind.__name__}: {error}; see its form in GET /openapi.json"
        raise InvalidError(msg) from None


async def read_bytes(request: Request, limit: int | None = None) -> bytes:
    limit = context(request).config.max_body_bytes if limit is None else limit
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            msg = f"the request's body is over the limit of {limit} bytes; large data goes to PUT /v1/blobs or into a volume"
            raise TooLargeError(msg)
        parts.append(part)
    return b"".join(parts)


async def upload(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes; CancelledError when the sender leaves before its end."""
    try:
        async for part in request.stream():
            if part:
                yield part
    except ClientDisconnect:
        msg = "the sender left before the upload was whole"
        raise CancelledError(msg) from None


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the caller leaves. The request's body must have been read."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        msg = "the caller left"
        raise CancelledError(msg)
    finally:
        for each in (task, gone):
            each.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def answer(value: Any, status: int = 200) -> Response:
    return Response(_encoder.encode(value), status, media_type="application/json")


def packed(value: Any) -> Response:
    return Response(_pack(value), media_type="application/msgpack")


def ndjson(request: Request, lines: AsyncIterator[Any]) -> Response:
    """One JSON value a line, as they come; bytes are whole lines already. An error in the middle is the last line: {"error": {...}}."""
    return StreamingResponse(
        _lines(request, lines), media_type="application/x-ndjson", headers={"cache-control": "no-store"}
    )


def json_line(value: Any) -> bytes:
    return _encoder.encode(value) + b"\n"


async def _lines(request: Request, lines: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    try:
        async for line in lines:
            yield line if isinstance(line, bytes) else json_line(line)
    except Error as error:
        yield error_bytes(error, request_id(request)) + b"\n"
    except Exception as error:
        _logger.exception("stream_failed", extra={"request_id": request_id(request)})
        fault = InternalError(UNTOLD)
        fault.__cause__ = error
        yield error_bytes(fault, request_id(request)) + b"\n"
