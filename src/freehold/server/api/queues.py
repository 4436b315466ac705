"""Queues and their items. Items are bytes, pickled by their clients; bodies that hold them are msgpack."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from freehold.core.limits import REQUEST_BYTES
from freehold.protocol.stored import (
    Count,
    NamedRequest,
    QueueGet,
    QueueItems,
    QueuePart,
    QueuePut,
    QueueScan,
    QueueScanned,
    QueueTaken,
    QueueView,
)
from freehold.server.api.exchange import answer, packed, read, read_packed, services, while_connected, workspace
from freehold.server.api.openapi import MSGPACK, describe

router = APIRouter(prefix="/v1/queues", tags=["queues"])


@router.post("/{queue}/put")
@describe(body=QueuePut, answer=QueueTaken, media=MSGPACK)
async def put(request: Request, queue: str) -> Response:
    """Add items, all or none, waiting for room up to `wait_s`; durable when this answers."""
    body = await read_packed(request, QueuePut, REQUEST_BYTES)
    work = services(request).queues.put(workspace(request), queue, body)
    return packed(QueueTaken(accepted=await while_connected(request, work) if body.wait_s else await work))


@router.post("/{queue}/get")
@describe(body=QueueGet, answer=QueueItems, media=MSGPACK)
async def get(request: Request, queue: str) -> Response:
    """Remove items from the front, waiting for one up to `wait_s`; their removal is durable when this answers."""
    body, queues = await read_packed(request, QueueGet), services(request).queues
    work = queues.take(workspace(request), queue, body)
    taken = await while_connected(request, work) if body.wait_s else await work
    if await request.is_disconnected():
        queues.give_back(taken)
    return packed(QueueItems(items=[row.value for row in taken.rows], more=taken.left > 0))


@router.post("/{queue}/items")
@describe(body=QueueScan, answer=QueueScanned, media=MSGPACK)
async def items(request: Request, queue: str) -> Response:
    """Look at items without removing them, waiting for one up to `wait_s`."""
    body = await read_packed(request, QueueScan)
    work = services(request).queues.scan(workspace(request), queue, body)
    return packed(await while_connected(request, work) if body.wait_s else await work)


@router.post("/{queue}/len")
@describe(body=QueuePart, answer=Count, media=MSGPACK)
async def length(request: Request, queue: str) -> Response:
    """How many items a partition has, or all of them."""
    body = await read_packed(request, QueuePart)
    return answer(await services(request).queues.length(workspace(request), queue, body))


@router.post("/{queue}/clear")
@describe(body=QueuePart, media=MSGPACK)
async def clear(request: Request, queue: str) -> Response:
    """Remove the items of a partition, or of all."""
    await services(request).queues.clear(workspace(request), queue, await read_packed(request, QueuePart))
    return Response(status_code=204)


@router.post("/{queue}/heartbeat")
async def heartbeat(request: Request, queue: str) -> Response:
    """The client of this ephemeral queue lives."""
    await services(request).queues.beat(workspace(request), queue)
    return Response(status_code=204)


@router.get("")
@describe(answer=list[QueueView])
async def list_queues(request: Request, before: float | None = None, limit: int | None = None) -> Response:
    """Queues that have a name, the newest first; those created before a moment, up to a number."""
    return answer(await services(request).queues.list(workspace(request), before=before, limit=limit))


@router.post("")
@describe(body=NamedRequest, answer=QueueView)
async def create(request: Request) -> Response:
    """Make a queue; without a name an ephemeral one."""
    body = await read(request, NamedRequest)
    return answer(await services(request).queues.create(workspace(request), body), 201)


@router.get("/{queue}")
@describe(answer=QueueView)
async def show(request: Request, queue: str) -> Response:
    """By id or name."""
    return answer(await services(request).queues.get(workspace(request), queue))


@router.delete("/{queue}")
async def delete(request: Request, queue: str) -> Response:
    """Delete a queue and all that is in it."""
    await services(request).queues.delete(workspace(request), queue)
    return Response(status_code=204)
