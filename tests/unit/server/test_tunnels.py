"""Tunnels: what comes in at one end goes out at the other, half-closed ends too, and they end with their owner."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from freehold.core.errors import ConflictError, NotFoundError
from freehold.protocol.schemas import TunnelView
from freehold.server import tunnels as module
from freehold.server.tunnels import Tunnels


@asynccontextmanager
async def echo() -> AsyncGenerator[int]:
    """A server that sends back what it got, once it has it all."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


def _tunnels() -> Tunnels:
    return Tunnels(host="127.0.0.1", shown="127.0.0.1", instance=lambda _: None)


async def _dial(port: int) -> socket.socket:
    await asyncio.sleep(0.05)  # the caller speaks before the other end is there
    return await module._connect(port)


@pytest.mark.parametrize("size", [0, 5, 5_000_000])
async def test_all_that_is_sent_comes_back(size: int) -> None:
    tunnels = _tunnels()
    async with echo() as port:
        view = await tunnels.open("in-1", port, _dial)
        reader, writer = await asyncio.open_connection(view.host, view.host_port)
        writer.write(b"x" * size)
        writer.write_eof()
        assert await reader.read() == b"x" * size
        writer.close()
        tunnels.close_all()


async def test_a_port_on_which_nothing_listens_hangs_up() -> None:
    tunnels = _tunnels()
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    view = await tunnels.open("in-1", port, _dial)
    reader, writer = await asyncio.open_connection(view.host, view.host_port)
    assert await _rest(reader) == b""
    writer.close()
    tunnels.close_all()


async def test_a_port_is_forwarded_once_and_again_when_it_was_closed() -> None:
    tunnels = _tunnels()
    await tunnels.open("in-1", 80, _dial)
    await tunnels.open("in-2", 80, _dial)
    with pytest.raises(ConflictError, match="port 80 is forwarded already"):
        await tunnels.open("in-1", 80, _dial)
    tunnels.close("in-1", 80)
    await tunnels.open("in-1", 80, _dial)
    tunnels.close_all()


async def test_an_owner_that_ends_takes_its_tunnels_and_their_connections_along() -> None:
    tunnels = _tunnels()
    async with echo() as port:
        view = await tunnels.open("in-1", port, _dial)
        reader, writer = await asyncio.open_connection(view.host, view.host_port)
        await asyncio.sleep(0.1)
        tunnels.ended("in-1")
        assert await _rest(reader) == b""
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(view.host, view.host_port)


async def _rest(reader: asyncio.StreamReader) -> bytes:
    with contextlib.suppress(ConnectionResetError):
        return await reader.read()
    return b""


async def test_of_two_who_open_a_port_at_once_one_gets_it() -> None:
    tunnels = _tunnels()
    made = await asyncio.gather(*(tunnels.open("in-1", 80, _dial) for _ in range(2)), return_exceptions=True)
    [view] = [one for one in made if isinstance(one, TunnelView)]
    assert [type(one) for one in made if one is not view] == [ConflictError]
    tunnels.ended("in-1")
    assert await _refused(view.host_port)


async def test_an_owner_that_ends_while_a_port_is_opened_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    tunnels, ports = _tunnels(), list[int]()
    create = socket.create_server

    def noted(*args: Any, **kw: Any) -> socket.socket:
        made = create(*args, **kw)
        ports.append(made.getsockname()[1])
        return made

    monkeypatch.setattr(socket, "create_server", noted)
    opening = asyncio.create_task(tunnels.open("in-1", 80, _dial))
    await asyncio.sleep(0)
    tunnels.ended("in-1")
    with contextlib.suppress(NotFoundError):
        await opening
    tunnels.close_all()
    assert [await _refused(port) for port in ports] == [True]


async def _refused(port: int) -> bool:
    await asyncio.sleep(0.01)
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False
