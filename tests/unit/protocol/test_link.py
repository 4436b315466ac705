"""The link: frames over a real Unix socket."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec
import pytest

from freehold.protocol import link as module
from freehold.protocol.frames import Accepted, Cancel, FromPeer, FromServer
from freehold.protocol.link import Link, open_link


class Side:
    """One end: what it heard, and how it ended."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.frames = 0
        self.link: Link[FromPeer] | None = None
        self.ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def receive(self, _link: object, messages: list[FromPeer] | list[FromServer]) -> None:
        self.frames += 1
        self.heard += messages

    def closed(self, _link: object, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(error)


@contextlib.asynccontextmanager
async def pair(folder: Path) -> AsyncGenerator[tuple[Side, Side, Link[FromServer]]]:
    ours, theirs = Side(), Side()
    loop = asyncio.get_running_loop()

    def accept() -> Link[FromPeer]:
        ours.link = Link(msgspec.msgpack.Decoder(list[FromPeer]), ours.receive, ours.closed)
        return ours.link

    server = await loop.create_unix_server(accept, str(folder / "s"))
    link = await open_link(str(folder / "s"), msgspec.msgpack.Decoder(list[FromServer]), theirs.receive, theirs.closed)
    try:
        yield ours, theirs, link
    finally:
        link.abort()
        server.close()


async def until(check: object) -> None:
    async with asyncio.timeout(5):
        while not check():  # type: ignore[operator]  # noqa: ASYNC110 (a socket has no event for it)
            await asyncio.sleep(0.001)


async def test_messages_of_one_turn_travel_in_one_frame_in_their_order(tmp_path: Path) -> None:
    async with pair(tmp_path) as (ours, _, link):
        for n in range(100):
            link.send(Cancel(f"fc-{n}"))
        await until(lambda: len(ours.heard) == 100)
        assert ours.frames == 1
        assert ours.heard == [Cancel(f"fc-{n}") for n in range(100)]


async def test_an_answer_is_written_as_soon_as_its_frame_was_handled(tmp_path: Path) -> None:
    async with pair(tmp_path) as (ours, theirs, link):
        link.send(Cancel("fc-1"))
        await until(lambda: ours.heard)
        assert ours.link is not None
        ours.link.send(Accepted("fc-1"))
        await until(lambda: theirs.heard)
        assert theirs.heard == [Accepted("fc-1")]


async def test_a_message_may_be_written_from_another_thread_at_once(tmp_path: Path) -> None:
    async with pair(tmp_path) as (ours, _, link):
        assert await asyncio.to_thread(link.send_now, Cancel("fc-1"))
        await until(lambda: ours.heard)
        link.send(Cancel("fc-2"))
        assert not link.send_now(Cancel("too early"))  # the one before it is not written yet
        await until(lambda: len(ours.heard) == 2)
        link.close()
        assert not link.send_now(Cancel("too late"))
        await asyncio.wait_for(ours.ended, 5)
        assert ours.heard == [Cancel("fc-1"), Cancel("fc-2")]


class Elsewhere(asyncio.Transport):
    """A transport that is no stream socket."""

    def get_write_buffer_size(self) -> int:
        return 0


async def test_what_is_no_socket_is_written_to_by_the_loop_alone() -> None:
    side = Side()
    link = Link(msgspec.msgpack.Decoder(list[FromPeer]), side.receive, side.closed)
    link.connection_made(Elsewhere())
    assert not await asyncio.to_thread(link.send_now, Cancel("fc-1"))


async def test_a_frame_that_another_thread_could_not_write_whole_stays_whole(tmp_path: Path) -> None:
    async with pair(tmp_path) as (ours, _, link):
        await asyncio.to_thread(link.send_now, Cancel("fc-0"))
        await until(lambda: ours.heard)
        reading = ours.link._transport  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess, reportPrivateUsage]
        assert isinstance(reading, asyncio.ReadTransport)
        reading.pause_reading()
        long = Cancel("x" * 1_000_000)  # more than a socket holds
        assert await asyncio.to_thread(link.send_now, long)
        assert not await asyncio.to_thread(link.send_now, Cancel("not between"))
        link.send(Cancel("fc-1"))
        reading.resume_reading()
        await until(lambda: len(ours.heard) == 3)
        assert ours.heard == [Cancel("fc-0"), long, Cancel("fc-1")]


@pytest.mark.parametrize("garbage", [b"\x04\x00\x00\x00nope", b"\xff\xff\xff\xff", b"\x01\x00\x00\x00\xc1"])
async def test_garbage_ends_the_link_with_the_cause(tmp_path: Path, garbage: bytes) -> None:
    async with pair(tmp_path) as (ours, _, _link):
        _, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        await until(lambda: ours.link is not None)
        writer.write(garbage)
        assert await asyncio.wait_for(ours.ended, 5) is not None
        writer.close()


async def test_who_never_reads_is_hung_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNREAD_BYTES", 1_000_000)
    async with pair(tmp_path) as (ours, _, _link):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"), limit=1)
        await asyncio.sleep(0.01)
        assert ours.link is not None
        for _ in range(200):
            ours.link.send(Accepted("x" * 100_000))
            await asyncio.sleep(0)
            if ours.ended.done():
                break
        await asyncio.wait_for(ours.ended, 5)
        del reader
        writer.close()
