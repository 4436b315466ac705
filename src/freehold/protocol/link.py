"""The link: length-prefixed msgpack frames over a stream, all messages of one loop turn in one frame and one write.

It knows nothing of what the messages mean. `open_link` dials a server; a server makes one `Link` a connection.
"""

import asyncio
import os
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import msgspec

MAX_FRAME_BYTES = 256 * 1024 * 1024
MAX_STRANGER_BYTES = 64 * 1024  # of a frame, from a side that has not introduced itself
MAX_UNREAD_BYTES = 512 * 1024 * 1024  # written, and not read by the other side
_HEADER = struct.Struct("<I")
_encode = msgspec.msgpack.Encoder().encode

M = TypeVar("M")


class _Unflushed:
    """The links of one loop that have something to write: at the end of its turn, or at once when what came in was handled."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._call_soon = loop.call_soon
        self._links: list[Link[Any]] = []

    def add(self, link: "Link[Any]") -> None:
        if not self._links:
            self._call_soon(self.flush)
        self._links.append(link)

    def flush(self) -> None:
        links, self._links = self._links, []
        for link in links:
            link.flush()


_unflushed: WeakKeyDictionary[asyncio.AbstractEventLoop, _Unflushed] = WeakKeyDictionary()


class Link(asyncio.Protocol, Generic[M]):
    """One side of a connection. `receive(link, messages)` gets each frame's messages; `closed(link, error)` comes once."""

    def __init__(
        self,
        decoder: "msgspec.msgpack.Decoder[list[M]]",
        receive: Callable[["Link[M]", list[M]], None],
        closed: Callable[["Link[M]", Exception | None], None],
    ) -> None:
        self.peer: Any = None  # whatever the owner wants to find again
        self.known = True  # the other side has introduced itself, or we dialled it
        self.local = True  # both sides on one machine: large buffers may ride in shared memory
        self._decode, self._receive, self._closed = decoder.decode, receive, closed
        self._unread = bytearray()
        self._unsent: list[Any] = []
        self._rest = b""  # of a frame that `send_now` could not write whole
        self._writing = threading.Lock()
        self._socket: socket.socket | None = None
        self._transport: asyncio.Transport | None = None
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._turn = _unflushed.get(loop) or _unflushed.setdefault(loop, _Unflushed(loop))
        self._writable = asyncio.Event()
        self._writable.set()

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._unread += data
        try:
            self._take_frames()
            if not self.known and len(self._unread) > MAX_STRANGER_BYTES:
                msg = f"{len(self._unread)} bytes of a frame came before an introduction"
                raise ValueError(msg)  # noqa: TRY301 (as those of a frame)
        except (msgspec.DecodeError, ValueError) as error:
            self.close(error)
        self._turn.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._detach()
        self._writable.set()
        self._closed(self, exc)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # ---- ours

    @property
    def open(self) -> bool:
        return self._transport is not None

    @property
    def congested(self) -> bool:
        """The other side reads slower than we write."""
        return not self._writable.is_set()

    async def drain(self) -> None:
        """Wait until the other side has read enough for us to go on."""
        await self._writable.wait()

    def send(self, message: Any) -> None:
        """Send `message` at the end of this turn of the loop; dropped when the link is closed."""
        if not self._unsent:
            self._turn.add(self)
        self._unsent.append(message)

    def send_now(self, message: Any) -> bool:
        """Write `message` from any thread, where nothing waits to be written; else False, and it wants to be sent by the loop.

        It saves waking the loop's thread, an eighth of a call's round trip; where much is sent, one write a turn is cheaper.
        """
        if not self._writing.acquire(blocking=False):
            return False
        try:
            transport = self._transport
            if self._unsent or self._rest or transport is None or transport.get_write_buffer_size():
                return False
            own = self._own_socket(transport)
            if own is None:
                return False
            frame = _frame([message])
            written = own.send(frame, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            if written < len(frame):
                self._rest = frame[written:]
                self._loop.call_soon_threadsafe(self.flush)
        except OSError:  # full; or broken, as the loop will see
            return False
        finally:
            self._writing.release()
        return True

    def close(self, error: Exception | None = None) -> None:
        """Write out what was sent, then hang up."""
        self.flush()
        transport = self._detach()
        if transport is not None:
            transport.close()
            if error is not None:
                closed, self._closed = self._closed, _told_already
                closed(self, error)

    def hold(self) -> None:
        """Read nothing more from the other side until `go_on`."""
        if self._transport is not None:
            self._transport.pause_reading()

    def go_on(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def abort(self) -> None:
        """Hang up at once."""
        if self._transport is not None:
            self._transport.abort()

    def flush(self) -> None:
        """Write what was sent, in one frame."""
        with self._writing:
            messages, self._unsent = self._unsent, []
            rest, self._rest = self._rest, b""
            transport = self._transport
            if transport is None or not (messages or rest):
                return
            transport.write(rest + _frame(messages) if messages else rest)
        if self.congested and transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self.abort()  # who reads nothing must not fill our memory; what it misses is in the store

    def _own_socket(self, transport: asyncio.Transport) -> socket.socket | None:
        """A descriptor of our own, so that none that was closed meanwhile, and given to another file, is written to.

        None where frames go by something else than a stream socket, such as a WebSocket.
        """
        if self._socket is None:
            stream = transport.get_extra_info("socket")
            self._socket = None if stream is None else socket.socket(fileno=os.dup(stream.fileno()))
        return self._socket

    def _detach(self) -> asyncio.Transport | None:
        with self._writing:
            transport, self._transport = self._transport, None
            own, self._socket = self._socket, None
        if own is not None:
            own.close()
        return transport

    def _take_frames(self) -> None:
        unread, start, end = self._unread, 0, len(self._unread)
        frames: list[list[M]] = []
        with memoryview(unread) as view:
            while end - start >= _HEADER.size:
                (size,) = _HEADER.unpack_from(view, start)
                if size > MAX_FRAME_BYTES:
                    msg = f"a frame of {size} bytes is over the limit of {MAX_FRAME_BYTES}"
                    raise ValueError(msg)
                stop = start + _HEADER.size + size
                if stop > end:
                    break
                frames.append(self._decode(view[start + _HEADER.size : stop]))
                start = stop
        del unread[:start]
        for messages in frames:
            self._receive(self, messages)


def _frame(messages: list[Any]) -> bytes:
    body = _encode(messages)
    return _HEADER.pack(len(body)) + body


def _told_already(_link: Link[Any], _error: Exception | None) -> None:
    """Stand in for `closed` after it has been called."""


async def open_link(
    path: str,
    decoder: "msgspec.msgpack.Decoder[list[M]]",
    receive: Callable[[Link[M], list[M]], None],
    closed: Callable[[Link[M], Exception | None], None],
) -> Link[M]:
    """Dial the Unix socket at `path`."""
    loop = asyncio.get_running_loop()
    _, link = await loop.create_unix_connection(lambda: Link(decoder, receive, closed), path)
    return link
