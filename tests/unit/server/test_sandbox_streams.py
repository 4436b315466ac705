"""What a command writes is kept until it is read, and no further than the bound; what it is sent goes in as it is taken."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO, Any

import pytest

from freehold.core.errors import ConflictError
from freehold.server.sandboxes.streams import Input, Output


@pytest.fixture
async def keep(tmp_path: Path) -> AsyncIterator[Callable[..., Output]]:
    made: list[Output] = []

    def make(fd: int, **options: Any) -> Output:
        made.append(Output(fd, tmp_path, **options))
        return made[-1]

    yield make
    for output in made:
        output.discard()


async def _all(output: Output, offset: int = 0) -> bytes:
    found = b""
    while True:
        data, offset = await output.read(offset)
        if not data:
            return found
        found += data


async def test_pieces_come_as_they_are_written_and_once(keep: Callable[..., Output]) -> None:
    ours, theirs = os.pipe()
    output = keep(ours)
    os.write(theirs, b"one")
    assert await output.read(0) == (b"one", 3)
    waiting = asyncio.create_task(output.read(3))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    os.write(theirs, b"two")
    assert await waiting == (b"two", 6)
    os.close(theirs)
    assert await output.read(6) == (b"", 6)
    assert await output.read(0) == (b"", 6)  # all was read on from, so none of it is kept


async def test_who_does_not_read_holds_the_command_up(keep: Callable[..., Output]) -> None:
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    output, sent = keep(ours, most=100_000), 0
    for _ in range(200):
        try:
            sent += os.write(theirs, b"x" * 10_000)
        except BlockingIOError:
            await asyncio.sleep(0.002)
    assert 100_000 <= sent < 400_000  # the bound, a read, and the pipe
    writing = asyncio.create_task(asyncio.to_thread(_write, theirs, 1_000_000))
    assert len(await _all(output)) == sent + 1_000_000
    await writing


async def test_of_a_sandboxs_own_command_the_newest_is_kept_and_nothing_holds_it_up(
    keep: Callable[..., Output],
) -> None:
    ours, theirs = os.pipe()
    teed = bytearray()
    output = keep(ours, newest=True, tee=teed.extend, most=50_000)
    await asyncio.to_thread(_write, theirs, 1_000_000)
    await output.ended()
    kept = await _all(output)
    assert 50_000 <= len(kept) <= 250_000
    assert teed.endswith(kept)
    assert len(teed) == 1_000_000
    assert await _all(output) == kept  # it can be read again, by another client too


async def test_what_is_kept_is_written_once(keep: Callable[..., Output], monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop has others to serve than a program that prints without end."""
    written, new = list[int](), Output._new_file

    def counting(output: Output) -> IO[bytes]:
        made = new(output)
        write = made.write

        def counted(data: bytes) -> int:
            written.append(len(data))
            return write(data)

        monkeypatch.setattr(made, "write", counted)
        return made

    monkeypatch.setattr(Output, "_new_file", counting)
    ours, theirs = os.pipe()
    output = keep(ours, newest=True, most=50_000)
    await asyncio.to_thread(_write, theirs, 1_000_000)
    await output.ended()
    assert sum(written) == 1_000_000


async def test_a_closed_output_ends_and_breaks_the_pipe(keep: Callable[..., Output]) -> None:
    ours, theirs = os.pipe()
    output = keep(ours)
    output.discard()
    assert await output.read(0) == (b"", 0)
    with pytest.raises(BrokenPipeError):
        os.write(theirs, b"x")
    os.close(theirs)


async def test_input_waits_for_the_command_and_ends() -> None:
    theirs, ours = os.pipe()
    stdin = Input(ours)
    writing = asyncio.create_task(stdin.write(b"x" * 300_000))
    await asyncio.sleep(0.01)
    assert not writing.done()
    assert len(await asyncio.to_thread(_read, theirs, 300_000)) == 300_000
    await writing
    await stdin.end()
    assert os.read(theirs, 10) == b""
    os.close(theirs)
    with pytest.raises(ConflictError, match="closed"):
        await stdin.write(b"more")


async def test_input_that_nobody_reads_any_more_is_a_conflict() -> None:
    theirs, ours = os.pipe()
    stdin = Input(ours)
    os.close(theirs)
    with pytest.raises(ConflictError, match="no longer"):
        await stdin.write(b"x")


def _write(fd: int, size: int) -> None:
    os.set_blocking(fd, True)
    with open(fd, "wb", buffering=0) as file:
        left = size
        while left:
            left -= file.write(b"y" * min(left, 60_000)) or 0


def _read(fd: int, size: int) -> bytes:
    found = b""
    while len(found) < size:
        found += os.read(fd, 65_536)
    return found
