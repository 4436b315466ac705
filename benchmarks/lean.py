"""The lower bound of a durable call: client → server → instance and back over Unix sockets, results in SQLite before their answers.

Three processes, length-prefixed msgpack frames, one write a loop turn, one transaction for all that has come in meanwhile
(WAL, synchronous=FULL). Arrays ride shared memory that is mapped and faulted once. No scheduling, retries, limits, logs,
cancellation or recovery: what is left is what such a path costs in Python at the least.
"""

import asyncio
import contextlib
import multiprocessing
import os
import queue
import socket
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from mmap import mmap
from pathlib import Path
from pickle import PickleBuffer, loads
from typing import Any, cast

import cloudpickle
import msgspec
import uvloop
from benchmarks import work
from benchmarks.forks import measure_forks
from benchmarks.processes import until
from benchmarks.workload import Array, Peer, main

_CREDIT = 256  # inputs that the instance takes at once
_GROUP = 2000  # calls in one transaction, at most
_UNDER_WAY, _FRAME = 8000, 200  # of the pipelined client: calls without an answer, calls a frame
_ARENA_BYTES = 128 << 20
_TABLE = "create table calls(id integer primary key, args blob, result blob, created real, ended real) strict"

Message = Any
Call = tuple[int, str, bytes, list[int]]  # id, function, pickled argument, sizes of its buffers in the arena
Answer = tuple[int, bytes, list[int]]

_dump = cast("Callable[..., bytes]", cloudpickle.dumps)  # pyright: ignore[reportUnknownMemberType]
_encode = msgspec.msgpack.Encoder().encode
_decode: Callable[[Any], list[Message]] = msgspec.msgpack.Decoder().decode


def frame(messages: list[Message]) -> bytes:
    body = _encode(messages)
    return len(body).to_bytes(4, "little") + body


class Unframed:
    """Bytes in, messages out."""

    def __init__(self) -> None:
        self._unread = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        self._unread += data
        messages: list[Message] = []
        start, view = 0, memoryview(self._unread)
        while len(view) - start >= 4:
            end = start + 4 + int.from_bytes(view[start : start + 4], "little")
            if end > len(view):
                break
            messages += _decode(view[start + 4 : end])
            start = end
        view.release()
        del self._unread[:start]
        return messages


class Link(asyncio.Protocol):
    """The server's end of a socket; everything sent in one loop turn leaves in one write."""

    def __init__(self, receive: Callable[["Link", list[Message]], None]) -> None:
        self._receive, self._frames, self._unsent = receive, Unframed(), list[Message]()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._loop = cast(asyncio.Transport, transport), asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        if messages := self._frames.feed(data):
            self._receive(self, messages)

    def send(self, messages: list[Message]) -> None:
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent += messages

    def _flush(self) -> None:
        data, self._unsent = frame(self._unsent), []
        self._transport.write(data)


class Database:
    """One thread writes; `done` is called on the loop once the rows are on the disk."""

    def __init__(self, path: Path) -> None:
        self._path, self._waiting = path, queue.SimpleQueue[tuple[list[Any], Callable[[], None]]]()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._write, daemon=True).start()

    def add(self, rows: list[Any], done: Callable[[], None]) -> None:
        self._waiting.put((rows, done))

    def _write(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        for statement in ("pragma journal_mode=wal", "pragma synchronous=full", _TABLE):
            connection.execute(statement)
        while True:
            group = [self._waiting.get()]
            while len(group) < _GROUP and not self._waiting.empty():
                group.append(self._waiting.get())
            connection.execute("begin immediate")
            for rows, _ in group:
                connection.executemany("insert into calls values(?, ?, ?, ?, ?)", rows)
            connection.execute("commit")
            self._loop.call_soon_threadsafe(_call_all, [done for _, done in group])


def _call_all(callbacks: list[Callable[[], None]]) -> None:
    for callback in callbacks:
        callback()


class Server:
    """Calls wait here for credit of the one instance, and for their commit."""

    def __init__(self, home: Path) -> None:
        self._database = Database(home / "calls.db")
        self._waiting: list[Call] = []
        self._running: dict[int, tuple[Link, bytes, float]] = {}
        self._instance: Link | None = None
        self._credit = 0

    def from_client(self, link: Link, calls: list[Call]) -> None:
        now = time.time()
        for call in calls:
            self._running[call[0]] = (link, call[2], now)
        self._waiting += calls
        self._dispatch()

    def from_instance(self, link: Link, answers: list[Answer]) -> None:
        if self._instance is None:
            self._instance, self._credit = link, _CREDIT
        else:
            self._credit += len(answers)
            self._keep(answers)
        self._dispatch()

    def _keep(self, answers: list[Answer]) -> None:
        now, rows, client = time.time(), list[Any](), None
        for answer in answers:
            client, arguments, created = self._running.pop(answer[0])
            rows.append((answer[0], arguments, answer[1], created, now))
        if client is not None:
            self._database.add(rows, lambda: client.send(answers))

    def _dispatch(self) -> None:
        if self._instance is not None and self._waiting and self._credit:
            batch, self._waiting = self._waiting[: self._credit], self._waiting[self._credit :]
            self._credit -= len(batch)
            self._instance.send(batch)


async def serve(home: Path) -> None:
    server, loop = Server(home), asyncio.get_running_loop()
    await loop.create_unix_server(lambda: Link(server.from_instance), home / "instance")
    await loop.create_unix_server(lambda: Link(server.from_client), home / "client")
    await asyncio.Event().wait()


class Arena:
    """One direction's shared memory: one message in it at a time, one copy in, a view out."""

    def __init__(self, path: Path) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(fd, _ARENA_BYTES)
        self._memory = memoryview(mmap(fd, _ARENA_BYTES))
        os.close(fd)
        self._memory[:: os.sysconf("SC_PAGESIZE")] = bytes(len(self._memory[:: os.sysconf("SC_PAGESIZE")]))

    def dump(self, value: object) -> tuple[bytes, list[int]]:
        buffers: list[PickleBuffer] = []
        data = _dump(value, protocol=5, buffer_callback=buffers.append)
        sizes, at = list[int](), 0
        for buffer in buffers:
            raw = buffer.raw()
            self._memory[at : at + raw.nbytes] = raw
            sizes.append(raw.nbytes)
            at += -(-raw.nbytes // 64) * 64
        return data, sizes

    def load(self, data: bytes, sizes: list[int]) -> Any:
        at, buffers = 0, list[memoryview]()
        for size in sizes:
            buffers.append(self._memory[at : at + size])
            at += -(-size // 64) * 64
        return loads(data, buffers=buffers)


class Wire:
    """The blocking end of a socket, of the client and of the instance."""

    def __init__(self, path: Path) -> None:
        self._socket, self._frames, self._path = socket.socket(socket.AF_UNIX), Unframed(), str(path)
        until(self._connects, limit_s=10, what="the lean server's start")

    def send(self, messages: list[Message]) -> None:
        self._socket.sendall(frame(messages))

    def _connects(self) -> bool:
        """Try to; a socket that is there may be bound and not listening yet."""
        with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
            self._socket.connect(self._path)
            return True
        return False

    def receive(self) -> list[Message]:
        while True:
            data = self._socket.recv(1 << 18)
            if not data:
                raise EOFError
            if messages := self._frames.feed(data):
                return messages


def execute(home: Path) -> None:
    """Be the instance."""
    wire, there, back = Wire(home / "instance"), Arena(home / "there"), Arena(home / "back")
    wire.send([[]])
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            calls: list[Call] = wire.receive()
            wire.send([(c, *back.dump(getattr(work, name)(there.load(data, sizes)))) for c, name, data, sizes in calls])


def _serve(home: Path) -> None:
    uvloop.run(serve(home))


class Lean:
    pipelined = 40_000

    def start(self) -> None:
        # the database lies on a real disk, the shared memory in /dev/shm
        self._disk = tempfile.TemporaryDirectory(prefix="bench-lean-")
        self._shared = tempfile.TemporaryDirectory(prefix="bench-lean-", dir="/dev/shm")
        home, context = Path(self._disk.name), multiprocessing.get_context("spawn")
        for name in ("there", "back"):
            (home / name).symlink_to(Path(self._shared.name) / name)
        self._processes = [context.Process(target=job, args=(home,), daemon=True) for job in (_serve, execute)]
        for process in self._processes:
            process.start()
        self._wire, self._calls = Wire(home / "client"), 0
        self._there, self._back = Arena(home / "there"), Arena(home / "back")

    def call(self, value: int) -> int:
        return self._run("noop", value)

    def echo(self, array: Array) -> Array:
        return self._run("echo", array)

    def pipeline(self, count: int) -> None:
        sent = answered = 0
        while answered < count:
            while sent < count and sent - answered < _UNDER_WAY:
                calls = [self._call("noop", i) for i in range(min(_FRAME, count - sent))]
                self._wire.send(calls)
                sent += len(calls)
            answers = self._wire.receive()
            for _, data, sizes in answers:
                self._back.load(data, sizes)
            answered += len(answers)

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.join()
        self._disk.cleanup()
        self._shared.cleanup()

    def _run(self, name: str, value: object) -> Any:
        self._wire.send([self._call(name, value)])
        [(_, data, sizes)] = self._wire.receive()
        return self._back.load(data, sizes)

    def _call(self, name: str, value: object) -> Call:
        self._calls += 1
        return (self._calls, name, *self._there.dump(value))


if __name__ == "__main__":
    peer: Peer = Lean()
    main(peer, {"torch": measure_forks})
