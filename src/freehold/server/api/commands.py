"""Commands in a sandbox or an instance, and their streams: the same routes below both."""

# pyright: reportUnusedFunction=false
# (the router uses them)

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from freehold.core.errors import InvalidError
from freehold.protocol.schemas import CommandRequest, CommandView, SignalRequest, SizeRequest
from freehold.server.api.contract import Command, Commands, Services
from freehold.server.api.exchange import answer, read, services, while_connected, workspace
from freehold.server.api.openapi import describe

Wait = Annotated[float, Query(ge=0, le=300, description="seconds to wait for its end")]
Pipe = Literal["stdout", "stderr"]


def add_routes(router: APIRouter, noun: str, commands_of: Callable[[Services], Commands]) -> None:
    """Add the routes below one `noun`, such as a sandbox, whose id stands before them in the path."""
    where = Path(alias=noun)

    def commands(request: Request) -> Commands:
        return commands_of(services(request))

    @router.post(f"/{{{noun}}}/commands")
    @describe(body=CommandRequest, answer=CommandView)
    async def run(request: Request, place: str = where) -> Response:
        """Start a command; its streams are read and written apart."""
        return answer(await commands(request).run(workspace(request), place, await read(request, CommandRequest)), 201)

    @router.get(f"/{{{noun}}}/commands/{{command}}")
    @describe(answer=CommandView)
    async def show_command(request: Request, command: str, timeout_s: Wait = 0, place: str = where) -> Response:
        """A command when it has ended, or as it is after so long. A sandbox's own is `main`."""
        work = commands(request).wait_command(workspace(request), place, command, timeout_s)
        return answer(await (while_connected(request, work) if timeout_s else work))

    @router.get(f"/{{{noun}}}/commands/{{command}}/{{pipe}}")
    async def output(request: Request, command: str, pipe: Pipe, offset: Annotated[int, Query(ge=0)] = 0, place: str = where) -> Response:  # fmt: skip
        """Bytes as the command writes them, to the stream's end. What stands before `offset` is kept no longer."""
        read = _pieces(commands(request).command(workspace(request), place, command), pipe, offset)
        return StreamingResponse(read, media_type="application/octet-stream", headers={"cache-control": "no-store"})

    @router.post(f"/{{{noun}}}/commands/{{command}}/stdin")
    async def put_input(request: Request, command: str, eof: bool = False, place: str = where) -> Response:
        """Write the body to its standard input; answered once all of it is taken. With eof=true nothing comes after it."""
        stdin = commands(request).command(workspace(request), place, command).stdin
        try:
            async for part in request.stream():
                await stdin.write(part)
        except ClientDisconnect:
            raise InvalidError("the sender left before its input was whole") from None
        if eof:
            await stdin.end()
        return Response(status_code=204)

    @router.post(f"/{{{noun}}}/commands/{{command}}/signal")
    @describe(body=SignalRequest)
    async def signal(request: Request, command: str, place: str = where) -> Response:
        """Send a signal to a command and what it started."""
        number = (await read(request, SignalRequest)).number
        await commands(request).signal(workspace(request), place, command, number)
        return Response(status_code=204)

    @router.post(f"/{{{noun}}}/commands/{{command}}/size")
    @describe(body=SizeRequest)
    async def resize(request: Request, command: str, place: str = where) -> Response:
        """Tell a command's terminal how large it is."""
        size = await read(request, SizeRequest)
        await commands(request).resize(workspace(request), place, command, (size.rows, size.columns))
        return Response(status_code=204)


async def _pieces(command: Command, pipe: Pipe, offset: int) -> AsyncIterator[bytes]:
    with command.attended():
        while True:
            data, offset = await command.outputs[pipe].read(offset)
            if not data:
                return
            yield data
