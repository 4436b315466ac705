"""Functions: looked up by name, and called with plain JSON from any language."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from freehold.core.errors import InvalidError
from freehold.protocol.schemas import FunctionDetail, FunctionHandle, JsonCall, JsonResult
from freehold.server.api.exchange import answer, read, services, while_connected, workspace
from freehold.server.api.openapi import describe

router = APIRouter(prefix="/v1/functions", tags=["functions"])
Key = Annotated[str, Header(alias="Idempotency-Key", max_length=256)]
Wait = Annotated[
    bool, Query(description="false: answer 202 once the call is durable; GET /v1/calls/{call}/result has it later")
]


@router.get("/{function}")
@describe(answer=FunctionDetail)
async def show(request: Request, function: str) -> Response:
    """A function that runs, by its id, with what it is run as."""
    return answer(await services(request).apps.function_detail(workspace(request), function))


@router.get("/{app}/{function}")
@describe(answer=FunctionHandle)
async def lookup(request: Request, app: str, function: str, version: int | None = None) -> Response:
    """A deployed function's id and endpoints; with `version`, only if that is the version of its app that runs."""
    return answer(await services(request).apps.function(workspace(request), app, function, version))


@router.post("/{app}/{function}/call")
@describe(body=JsonCall, answer=JsonResult)
async def call(request: Request, app: str, function: str, key: Key = "", wait: Wait = True) -> Response:
    """Call a function with JSON arguments; the answer is its JSON result. The same Idempotency-Key runs it once."""
    return await _call(request, app, function, method="", key=key, wait=wait)


@router.post("/{app}/{function}/{method}/call")
@describe(body=JsonCall, answer=JsonResult)
async def call_method(
    request: Request, app: str, function: str, method: str, key: Key = "", wait: Wait = True
) -> Response:
    """The same for a method of a class; `parameters` are the class's own."""
    return await _call(request, app, function, method=method, key=key, wait=wait)


async def _call(request: Request, app: str, function: str, *, method: str, key: str, wait: bool) -> Response:
    body = await read(request, JsonCall)
    if not method:
        function, _, method = function.partition(".")  # "Ocr.predict", as the SDK and the listings write it
    if not all(body.kwargs):
        msg = "the request's body has an empty name in kwargs; name each argument"
        raise InvalidError(msg)
    submitted = services(request).calls.submit_json(
        workspace(request), app, function, body, method=method, key=key, wait=wait
    )
    return answer(await while_connected(request, submitted), 200 if wait else 202)
