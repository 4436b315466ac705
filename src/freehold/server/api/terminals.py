"""The terminal of an app that is run interactively: its reader's side, and its instances'."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from freehold.protocol.schemas import TerminalAnswer, TerminalAsk, TerminalText
from freehold.server.api.exchange import answer, ndjson, principal, read, services, while_connected, workspace
from freehold.server.api.openapi import describe

router = APIRouter(prefix="/v1", tags=["terminals"])


@router.get("/apps/{app}/terminal")
@describe(answer=TerminalAsk)
async def attach(request: Request, app: str) -> Response:
    """NDJSON: what the app's instances say, and ask, for as long as it is read. One reader an app."""
    return ndjson(request, services(request).terminals.attach(workspace(request), app))


@router.post("/apps/{app}/terminal")
@describe(body=TerminalAnswer)
async def type_line(request: Request, app: str) -> Response:
    """Answer what an instance asked with a line; null ends its input."""
    body = await read(request, TerminalAnswer)
    services(request).terminals.answer(workspace(request), app, body.id, body.line)
    return answer({"answered": body.id})


@router.post("/terminal")
@describe(body=TerminalText, answer=TerminalAnswer)
async def say(request: Request) -> Response:
    """For instances: show text at the terminal of one's app, and wait for a line where `reads` is true."""
    body = await read(request, TerminalText)
    line = await while_connected(request, services(request).terminals.say(principal(request).name, body))
    return answer(TerminalAnswer(line=line))
