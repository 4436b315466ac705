"""The link over a WebSocket."""

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager

import msgspec
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from freehold.core.errors import AuthError, ConnectionError
from freehold.protocol.frames import FromPeer, Hello, Output, Status, Submit, Welcome
from freehold.protocol.schemas import FunctionHandle
from freehold.sdk import client as clients
from freehold.sdk.client import Client
from freehold.sdk.config import Target
from freehold.sdk.function import Function
from freehold.sdk.reference import Reference
from freehold.sdk.serialization import dumps, load_arguments

_decode = msgspec.msgpack.Decoder(list[FromPeer]).decode
_encode = msgspec.msgpack.Encoder().encode


async def _serve(connection: ServerConnection) -> None:
    async for body in connection:
        assert isinstance(body, bytes)
        for message in _decode(body):
            if isinstance(message, Hello):
                await connection.send(_encode([Welcome("sv", "0")]))
            elif isinstance(message, Submit):
                (n,), _ = load_arguments(message.inputs[0].payload)
                await connection.send(_encode([Output(message.call, 0, Status.OK, dumps(n + 1))]))


def _gate(connection: ServerConnection, request: Request) -> Response | None:
    known = request.headers.get("Authorization") == "Bearer good" and request.path == "/v1/link"
    return None if known else connection.respond(401, "who?")


@contextmanager
def far_server() -> Generator[int]:
    ports: list[int] = []
    ready, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def run() -> None:
        async with serve(_serve, "127.0.0.1", 0, process_request=_gate) as server:
            ports.append(next(iter(server.sockets)).getsockname()[1])
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    assert ready.wait(5)
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(5)
        loop.close()


def target(port: int, token: str = "good") -> Target:
    base = f"127.0.0.1:{port}"
    return Target(api=f"http://{base}", link=f"ws://{base}/v1/link", token=token, token_source="FREEHOLD_TOKEN")


def test_calls_over_a_websocket() -> None:
    with far_server() as port:
        client = Client(target(port))
        clients.use(client)
        try:
            add: Function[[int], int] = Function(
                Reference("add", app_name="a", handle=FunctionHandle(id="fu-1", name="add"))
            )
            assert [add.remote(n) for n in range(20)] == list(range(1, 21))
        finally:
            client.close()
            clients.use(None)


def test_a_wrong_token_and_nobody_there() -> None:
    with far_server() as port, pytest.raises(AuthError, match="FREEHOLD_TOKEN"):
        Client(target(port, token="bad")).start()
    with pytest.raises(ConnectionError, match="no Freehold server answers"):
        Client(target(port)).start()
