"""Dicts and their entries. Keys and values are bytes, pickled by their clients; bodies that hold them are msgpack."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from freehold.core.limits import REQUEST_BYTES
from freehold.protocol.stored import (
    Count,
    DictFound,
    DictKey,
    DictPage,
    DictRange,
    DictUpdate,
    DictUpdated,
    DictValue,
    DictView,
    NamedRequest,
    StagedValue,
)
from freehold.server.api.exchange import answer, packed, read, read_packed, services, upload, workspace
from freehold.server.api.files import file_response
from freehold.server.api.openapi import MSGPACK, describe

router = APIRouter(prefix="/v1/dicts", tags=["dicts"])


@router.post("/{dict}/get")
@describe(body=DictKey, answer=DictFound, media=MSGPACK)
async def get(request: Request, dict: str) -> Response:  # noqa: A002 (the noun)
    """The value of a key."""
    body = await read_packed(request, DictKey)
    return packed(DictFound(entry=await services(request).dicts.value(workspace(request), dict, body.key)))


@router.post("/{dict}/contains")
@describe(body=DictKey, answer=DictFound, media=MSGPACK)
async def contains(request: Request, dict: str) -> Response:  # noqa: A002 (as above)
    """Whether a key is there: an entry, of nothing, or none."""
    body = await read_packed(request, DictKey)
    found = await services(request).dicts.value(workspace(request), dict, body.key)
    return packed(DictFound(entry=DictValue() if found else None))


@router.post("/{dict}/update")
@describe(body=DictUpdate, answer=DictUpdated, media=MSGPACK)
async def update(request: Request, dict: str) -> Response:  # noqa: A002 (as above)
    """Put entries, all or none; durable when this answers."""
    body = await read_packed(request, DictUpdate, REQUEST_BYTES)
    return packed(DictUpdated(created=await services(request).dicts.update(workspace(request), dict, body)))


@router.post("/{dict}/pop")
@describe(body=DictKey, answer=DictFound, media=MSGPACK)
async def pop(request: Request, dict: str) -> Response:  # noqa: A002 (as above)
    """Remove a key, and give its value."""
    body = await read_packed(request, DictKey)
    return packed(DictFound(entry=await services(request).dicts.pop(workspace(request), dict, body.key)))


@router.post("/{dict}/items")
@describe(body=DictRange, answer=DictPage, media=MSGPACK)
async def items(request: Request, dict: str) -> Response:  # noqa: A002 (as above)
    """Some entries after a key, in the order of the keys' bytes."""
    body = await read_packed(request, DictRange)
    return packed(await services(request).dicts.page(workspace(request), dict, body))


@router.get("/{dict}/len")
@describe(answer=Count)
async def length(request: Request, dict: str) -> Response:  # noqa: A002 (as above)
    """How many keys it has."""
    return answer(await services(request).dicts.length(workspace(request), dict))


@router.post("/{dict}/clear")
async def clear(request: Request, dict: str) -> Response:  # noqa: A002 (as above)
    """Remove all entries that are there now."""
    await services(request).dicts.clear(workspace(request), dict)
    return Response(status_code=204)


@router.post("/{dict}/heartbeat")
async def heartbeat(request: Request, dict: str) -> Response:  # noqa: A002 (as above)
    """The client of this ephemeral dict lives."""
    await services(request).dicts.beat(workspace(request), dict)
    return Response(status_code=204)


@router.post("/{dict}/values")
@describe(answer=StagedValue)
async def stage(request: Request, dict: str) -> Response:  # noqa: A002 (as above)
    """Send a large value by itself, as the body; an update then names its `file`."""
    file = await services(request).dicts.stage(workspace(request), dict, upload(request))
    return answer(StagedValue(file=file), 201)


@router.get("/{dict}/values/{file}")
async def get_value(request: Request, dict: str, file: str) -> Response:  # noqa: A002 (as above)
    """The bytes of a large value; a Range is honoured."""
    return file_response(request, await services(request).dicts.open_value(workspace(request), dict, file))


@router.get("")
@describe(answer=list[DictView])
async def list_dicts(request: Request, before: float | None = None, limit: int | None = None) -> Response:
    """Dicts that have a name, the newest first; those created before a moment, up to a number."""
    return answer(await services(request).dicts.list(workspace(request), before=before, limit=limit))


@router.post("")
@describe(body=NamedRequest, answer=DictView)
async def create(request: Request) -> Response:
    """Make a dict; without a name an ephemeral one."""
    body = await read(request, NamedRequest)
    return answer(await services(request).dicts.create(workspace(request), body), 201)


@router.get("/{dict}")
@describe(answer=DictView)
async def show(request: Request, dict: str) -> Response:  # noqa: A002 (as above)
    """By id or name."""
    return answer(await services(request).dicts.get(workspace(request), dict))


@router.delete("/{dict}")
async def delete(request: Request, dict: str) -> Response:  # noqa: A002 (as above)
    """Delete a dict and all that is in it."""
    await services(request).dicts.delete(workspace(request), dict)
    return Response(status_code=204)
