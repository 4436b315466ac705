"""Streams of a sandbox as programs read them, from pieces that come as they may."""

import asyncio
import threading
from collections.abc import Generator

import pytest

from freehold.core.errors import InvalidError
from freehold.sdk.io_streams import StreamReader
from freehold.sdk.stream_type import StreamType


def _reader(*pieces: bytes, **options: object) -> "StreamReader[str]":
    def source() -> Generator[bytes, None, None]:
        yield from pieces

    return StreamReader(source, 1, **options)  # type: ignore[arg-type]


def test_lines_are_given_as_they_come_and_what_is_not_whole_too() -> None:
    assert list(_reader(b"one\ntw", b"o\nthree")) == ["one\n", "tw", "o\n", "three"]


def test_by_line_only_whole_lines_are_given() -> None:
    assert list(_reader(b"one\ntw", b"o\nthr", b"ee", by_line=True)) == ["one\n", "two\n", "three"]


def test_characters_are_not_cut_and_wrong_bytes_are_shown() -> None:
    assert _reader("ä€".encode()[:1], "ä€".encode()[1:3], "ä€".encode()[3:]).read() == "ä€"
    assert _reader(b"a\xffb\xe2").read() == "a\ufffdb\ufffd"


def test_bytes_come_as_they_are() -> None:
    assert list(_reader(b"a\nb", b"\xff", text=False)) == [b"a\nb", b"\xff"]
    assert _reader(text=False).read() == b""


def test_everything_is_given_once_whoever_asks() -> None:
    reader = _reader(b"1\n2\n3\n4\n")
    assert next(reader) == "1\n"
    assert next(iter(reader)) == "2\n"
    assert reader.read() == "3\n4\n"
    assert reader.read() == ""
    assert list(reader) == []
    with pytest.raises(StopIteration):
        next(reader)


async def test_a_reader_that_was_given_up_loses_nothing() -> None:
    go = threading.Event()

    def source() -> Generator[bytes, None, None]:
        go.wait(5)
        yield b"late\n"

    reader: StreamReader[str] = StreamReader(source, 1)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(anext(reader), 0.05)
    go.set()
    assert await reader.read.aio() == "late\n"
    assert [line async for line in reader] == []


def test_what_goes_elsewhere_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    reader = _reader(b"shown\n", kind=StreamType.STDOUT)
    reader.printed()
    assert capsys.readouterr().out == "shown\n"
    with pytest.raises(InvalidError, match="STDOUT"):
        reader.read()
    with pytest.raises(InvalidError, match="DEVNULL"):
        list(_reader(kind=StreamType.DEVNULL))


def test_the_end_is_told_and_its_error_raised() -> None:
    def late() -> None:
        msg = "late"
        raise TimeoutError(msg)

    reader = _reader(b"x", at_end=late)
    with pytest.raises(TimeoutError):
        reader.read()
