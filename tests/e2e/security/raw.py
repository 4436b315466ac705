"""Bytes as a stranger sends them: requests whose paths nobody tidies, and frames that no client would make."""

import contextlib
import os
import re
import socket
import struct
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from tests.e2e.harness import Freehold

from freehold.protocol.frames import FromServer
from freehold.server.api.auth import TABLE, Access
from freehold.server.web import build_web, page_access

_NOTHING: Any = None
ROUTES: Mapping[str, Access] = {**TABLE, **page_access(build_web(_NOTHING))}
_decode = msgspec.msgpack.Decoder(list[FromServer]).decode


class Answer(NamedTuple):
    status: int
    text: str


def call_of(key: str, word: str = "x") -> tuple[str, str]:
    """Method and path of a row of the authorisation table, each parameter filled in with `word`."""
    method, _, template = key.partition(" ")
    return method, re.sub(r"\{[^}]+\}", word, template)


def ask(home: Freehold, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
    """Send one request just as it is written here; a stream is read for half a second."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with socket.create_connection(("127.0.0.1", home.port), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        answer = connection.recv(65536)
        connection.settimeout(0.5)
        try:
            while piece := connection.recv(65536):
                answer += piece
        except TimeoutError:
            pass
    return Answer(int(answer.split(b" ", 2)[1]), answer.decode(errors="replace"))


def files_of(home: Freehold) -> Iterator[tuple[Path, bytes]]:
    """Every plain file of the home with its bytes, but those that go while one looks."""
    for folder, _, names in os.walk(home.home):
        for path in (Path(folder, name) for name in names):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file() and not path.is_symlink():
                    yield path, path.read_bytes()


def as_owner(home: Freehold) -> dict[str, str]:
    return {"Authorization": f"Bearer {home.token}"}


class Frames:
    """One side of a link."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, *messages: Any) -> None:
        data = msgspec.msgpack.encode(list(messages))
        self._connection.sendall(struct.pack("<I", len(data)) + data)

    def receive(self) -> list[FromServer]:
        (size,) = struct.unpack("<I", self._exactly(4))
        return _decode(self._exactly(size))

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._connection.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data


@contextmanager
def dial(home: Freehold) -> Generator[Frames]:
    """Open the link's socket, and say nothing yet."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(home.home / "run" / "link.sock"))
        yield Frames(connection)
