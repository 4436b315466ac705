"""Who dials in: bounded until introduced, and read no faster than what they ask for gets done."""

import asyncio
import socket
import struct
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.server.harness import Rig, until

from freehold.core.home import Home
from freehold.core.ids import new_id
from freehold.protocol.frames import (
    Accepted,
    Extend,
    FromServer,
    Hello,
    Input,
    Payload,
    Refused,
    Submit,
    Subscribe,
    Welcome,
)
from freehold.protocol.link import MAX_STRANGER_BYTES
from freehold.protocol.version import PROTOCOL_VERSION
from freehold.server.link import Links

TOKEN = "t"
_HELLO = Hello(TOKEN, PROTOCOL_VERSION, f"test {new_id('cl')}")
_decode = msgspec.msgpack.Decoder(list[FromServer]).decode


def frame(*messages: Any) -> bytes:
    body = msgspec.msgpack.encode(list(messages))
    return struct.pack("<I", len(body)) + body


class Dialled:
    """A connection to the real link socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def hear(self) -> Any:
        """The first message of the next frame; None when the server has hung up."""
        try:
            (size,) = struct.unpack("<I", await self.reader.readexactly(4))
            return _decode(await self.reader.readexactly(size))[0]
        except (asyncio.IncompleteReadError, ConnectionError):
            return None


class World:
    def __init__(self, rig: Rig, folder: Path) -> None:
        self.home = Home(folder)
        self.home.run.mkdir()
        self.links = Links(
            dispatcher=rig.dispatcher, fleet=rig.fleet, record=rig.record, clock=rig.clock, token=TOKEN, welcome=rig.fleet.welcome
        )  # fmt: skip

    async def dial(self) -> Dialled:
        return Dialled(*await asyncio.open_unix_connection(self.home.link_socket))


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncGenerator[Rig]:
    async with Rig(tmp_path) as rig:
        yield rig


@pytest.fixture
async def world(rig: Rig) -> AsyncGenerator[World]:
    with tempfile.TemporaryDirectory() as folder:  # short: a socket lies in it
        world = World(rig, Path(folder))
        await world.links.bind(world.home)
        await world.links.serve()
        yield world
        await world.links.close()


@pytest.mark.parametrize(
    "said",
    [
        frame(Hello("wrong", PROTOCOL_VERSION, "x")), frame(_HELLO)[:-1] + b"\xc1", frame(Subscribe("fc-1", 0)), struct.pack("<I", 0xFFFFFFFF), bytes(4),
        struct.pack("<I", 200 * 2**20) + bytes(MAX_STRANGER_BYTES + 1), b"\xff" * 100_000,
    ],
)  # fmt: skip
async def test_a_stranger_is_refused_before_much_of_it_is_kept(world: World, said: bytes) -> None:
    bad, good = await world.dial(), await world.dial()
    bad.writer.write(said)
    async with asyncio.timeout(5):
        first = await bad.hear()
        assert first is None or isinstance(first, Refused)
        if first is not None:
            assert await bad.hear() is None
        good.writer.write(frame(_HELLO))
        assert isinstance(await good.hear(), Welcome)
    bad.writer.close()
    good.writer.close()


async def test_who_is_known_may_send_long_frames(world: World) -> None:
    one = await world.dial()
    one.writer.write(frame(_HELLO) + frame(Subscribe("fc-" + "x" * MAX_STRANGER_BYTES * 2, 0)))
    async with asyncio.timeout(5):
        assert isinstance(await one.hear(), Welcome)
        assert isinstance(await one.hear(), Refused)  # no such call
    one.writer.close()


async def test_who_asks_for_more_than_gets_done_is_read_no_further(
    world: World, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, go_on = 0, asyncio.Event()

    async def slow(*_: Any, **__: Any) -> None:
        nonlocal asked
        asked += 1
        await go_on.wait()

    monkeypatch.setattr(rig.record, "subscribe", slow)
    flood = await world.dial()
    flood.writer.write(frame(_HELLO))
    assert isinstance(await flood.hear(), Welcome)
    own: socket.socket = flood.writer.get_extra_info("socket")
    own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    for _ in range(50):
        flood.writer.write(frame(*[Subscribe("fc-" + "x" * 1000, 0)] * 100))
    await until(lambda: asked >= 100)
    await asyncio.sleep(0.05)
    assert asked < 2000
    go_on.set()
    await until(lambda: asked == 5000)
    flood.writer.close()


async def test_what_follows_a_call_that_is_sent_again_waits_for_it(world: World, rig: Rig) -> None:
    call = new_id("fc")

    def inputs(*indexes: int) -> list[Input]:
        return [Input(n, Payload(b"args")) for n in indexes]

    first = await world.dial()
    first.writer.write(frame(_HELLO, Submit(call, rig.function.id, "spawn", inputs(0), more=True)))
    async with asyncio.timeout(5):
        assert isinstance(await first.hear(), Welcome)
        assert isinstance(await first.hear(), Accepted)
    first.writer.close()
    again = await world.dial()
    sent = Submit(call, rig.function.id, "spawn", inputs(1, 2), more=True, again=True)
    again.writer.write(frame(_HELLO, sent, Extend(call, inputs(3))))
    live = rig.dispatcher.calls[call]
    await until(lambda: not live.more)
    assert sorted(live.tasks) == [0, 1, 2, 3]
    again.writer.close()


async def test_inputs_for_a_call_that_takes_none_are_refused(world: World) -> None:
    one = await world.dial()
    one.writer.write(frame(_HELLO))
    async with asyncio.timeout(5):
        assert isinstance(await one.hear(), Welcome)
        one.writer.write(frame(Extend(new_id("fc"), [])))
        refused = await one.hear()
    assert isinstance(refused, Refused)
    assert "takes no more inputs" in refused.message
    one.writer.close()
