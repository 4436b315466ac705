"""A real ingress before real upstreams on Unix sockets, all in the test's own loop."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route as Path_
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from freehold.server.api.door import ApiDoor
from freehold.server.ingress.contract import Credentials, IngressConfig, Lease, Outcome, RequestRecord, Route
from freehold.server.ingress.listeners import Ingress

TIMEOUT_S = 10.0


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The server runs on uvloop, whose transports differ from asyncio's at the edges."""
    return {"uvloop": uvloop.new_event_loop}


@dataclass
class FakeRouter:
    """Routes everything to one address, and remembers what it was asked."""

    address: str = ""
    route: Route = field(default_factory=lambda: Route(label="ocr", function_id="fu-1"))
    leases: list[Lease] = field(default_factory=list[Lease])
    outcomes: list[Outcome] = field(default_factory=list[Outcome])
    before: Callable[[], Awaitable[None]] | None = None
    addresses: list[str] = field(default_factory=list[str])  # used up first
    password: str = "let me in"
    timeout_s: float | None = None
    instance: str = "in-1"

    def endpoint(self, *, port: int | None = None, label: str | None = None) -> Route | None:
        return self.route if label in (None, self.route.label) and port != 1 else None

    def authorise(self, route: Route, credentials: Credentials) -> bool:
        return self.password in (credentials.bearer, credentials.secret)

    async def acquire(self, route: Route, *, deadline: float, request_id: str, session: str = "") -> Lease:
        if self.before is not None:
            await self.before()
        address = self.addresses.pop(0) if self.addresses else self.address
        lease = Lease(
            address=address, call_id=f"fc-{len(self.leases)}", instance=self.instance, timeout_s=self.timeout_s
        )
        self.leases.append(lease)
        return lease

    def release(self, lease: Lease, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


@dataclass
class Stage:
    """The ingress, its endpoint's port, and what went through."""

    ingress: Ingress
    router: FakeRouter
    port: int
    folder: Path
    records: list[RequestRecord]
    seen: list[Any]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def send(self, *parts: bytes, pause_s: float = 0.0, port: int | None = None) -> bytes:
        """Send raw bytes; everything that comes back until the other side hangs up."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port or self.port)

        async def feed() -> None:
            for part in parts:
                writer.write(part)
                await writer.drain()
                if pause_s:
                    await asyncio.sleep(pause_s)

        feeding = asyncio.ensure_future(feed())
        try:
            return await asyncio.wait_for(reader.read(), TIMEOUT_S)
        finally:
            feeding.cancel()
            writer.close()

    async def until(self, condition: Callable[[], object], timeout_s: float = 5.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 (any condition)
                await asyncio.sleep(0.005)

    @asynccontextmanager
    async def script(
        self, handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
    ) -> AsyncGenerator[None]:
        """A hand-written upstream; the router sends everything there."""
        path = self.folder / "script.sock"
        tasks: list[asyncio.Task[None]] = []

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handler(reader, writer)
            except (asyncio.CancelledError, ConnectionError):
                pass
            finally:
                writer.transport.abort() if tasks[-1].cancelling() else writer.close()

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.append(asyncio.ensure_future(handle(reader, writer)))

        server = await asyncio.start_unix_server(accepted, str(path))
        self.router.address = f"unix:{path}"
        try:
            yield
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def application(seen: list[Any]) -> Starlette:
    async def hello(request: Request) -> Response:
        headers = [[k.decode(), v.decode("latin-1")] for k, v in request.headers.raw]
        seen.append(dict(headers))
        target = request.scope["raw_path"].decode() + ("?" + request.url.query if request.url.query else "")
        return JSONResponse({"method": request.method, "target": target, "headers": headers})

    class Echo:
        """Sends each piece back as it comes: plain ASGI, since Starlette's streams take turns with its disconnect watch."""

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while (message := await receive()).get("more_body"):
                await send({"type": "http.response.body", "body": message["body"], "more_body": True})
            await send({"type": "http.response.body", "body": message.get("body", b"")})

    async def digest(request: Request) -> Response:
        import hashlib

        sha, size = hashlib.sha256(), 0
        async for part in request.stream():
            sha.update(part)
            size += len(part)
        return JSONResponse({"sha256": sha.hexdigest(), "bytes": size})

    async def events(request: Request) -> Response:
        async def lines() -> AsyncIterator[bytes]:
            try:
                for n in range(int(request.query_params.get("n", "1000000"))):
                    yield f"data: {n}\n\n".encode()
                    await asyncio.sleep(float(request.query_params.get("every", "0.05")))
            finally:
                seen.append("events closed")

        return StreamingResponse(lines(), media_type="text/event-stream")

    async def wait(request: Request) -> Response:
        seen.append("waiting")
        try:
            while not await request.is_disconnected():  # noqa: ASYNC110 (what programs do)
                await asyncio.sleep(0.01)
            seen.append("disconnected")
        except (asyncio.CancelledError, ClientDisconnect):
            seen.append("disconnected")
            raise
        return Response()

    async def status(request: Request) -> Response:
        code = int(request.path_params["code"])
        return Response(None if code in (204, 304) else b"body", code)

    async def refuse(_request: Request) -> Response:
        return Response(b"too large", 413)

    async def socket(websocket: WebSocket) -> None:
        offered = websocket.scope["subprotocols"]
        seen.append(dict(websocket.headers))
        await websocket.accept(subprotocol=offered[-1] if offered else None)
        try:
            while True:
                message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    seen.append(("closed", message["code"]))
                    return
                text = message.get("text")
                if text == "close":
                    await websocket.close(4001, "as asked")
                    return
                if text is not None:
                    await websocket.send_text(f"echo {text}")
                else:
                    await websocket.send_bytes(message["bytes"])
        except WebSocketDisconnect as gone:
            seen.append(("closed", gone.code))

    async def no_socket(websocket: WebSocket) -> None:
        await websocket.close()

    methods = ["GET", "POST", "PUT", "DELETE", "HEAD"]
    return Starlette(
        routes=[
            Path_("/echo", Echo(), methods=methods),
            Path_("/digest", digest, methods=methods),
            Path_("/events", events),
            Path_("/wait", wait, methods=methods),
            Path_("/status/{code}", status, methods=methods),
            Path_("/refuse", refuse, methods=methods),
            WebSocketRoute("/ws", socket),
            WebSocketRoute("/no-ws", no_socket),
            Path_("/{rest:path}", hello, methods=methods),
        ]
    )


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    seen: list[Any] = []
    records: list[RequestRecord] = []
    upstream = ApiDoor(application(seen), tmp_path / "up.sock")
    await upstream.open()
    router = FakeRouter(address=f"unix:{tmp_path / 'up.sock'}")
    config = IngressConfig(
        host="127.0.0.1", port=0, api=f"unix:{tmp_path / 'up.sock'}", head_timeout_s=1.0, idle_timeout_s=1.0
    )
    ingress = Ingress(router, config, on_request=records.append)
    await ingress.open()
    port = await ingress.listen(0)
    yield Stage(ingress, router, port, tmp_path, records, seen)
    await ingress.close()
    await upstream.close()
