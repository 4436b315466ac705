"""StreamReader and StreamWriter: the streams of a sandbox, or of a command in one, read as they come and written when drained."""

import codecs
import io
import sys
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any, Generic, Literal, TypeVar

from freehold.core.errors import InvalidError
from freehold.sdk.faces import both, drive, drive_async, drive_items, drive_items_async, patient
from freehold.sdk.http import Api
from freehold.sdk.stream_type import StreamType

T = TypeVar("T", str, bytes)
Descriptor = Literal[1, 2]
_NAMES: dict[int, str] = {1: "stdout", 2: "stderr"}
_MOST_BYTES = 16 * 1024 * 1024


class StreamReader(Generic[T]):
    """`for piece in reader` gives what was written as it comes: lines, and the beginning of one that is not whole yet; with `by_line`
    whole lines only; without `text` bytes as they come. `read()` gives the rest at once. Everything is given once.
    """

    def __init__(
        self, pieces: Callable[[], Generator[bytes, None, None]], descriptor: Descriptor, *,
        text: bool = True, by_line: bool = False, kind: StreamType = StreamType.PIPE, at_end: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self.file_descriptor = descriptor
        self._open, self._text, self._by_line, self._kind, self._at_end = pieces, text, by_line, kind, at_end
        self._source: Generator[bytes, None, None] | None = None
        self._lock = threading.Lock()
        self._ready: deque[Any] = deque()
        self._rest = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._over = False
        if kind is StreamType.STDOUT:
            self._printing = threading.Thread(target=self._print, name="freehold-prints", daemon=True)
            self._printing.start()

    def __repr__(self) -> str:
        return f"StreamReader({_NAMES[self.file_descriptor]})"

    @both
    async def read(self) -> T:
        """All that is still to come, to the stream's end."""
        self._check()
        empty: Any = "" if self._text else b""
        found: list[T] = []
        while (piece := await self._next()) is not None:
            found.append(piece)
        return empty.join(found)

    def __iter__(self) -> Iterator[T]:
        return drive_items(self.pieces())

    def __aiter__(self) -> AsyncIterator[T]:
        return drive_items_async(self.pieces())

    def __next__(self) -> T:
        piece = drive(self._next())
        if piece is None:
            raise StopIteration
        return piece

    async def __anext__(self) -> T:
        piece = await drive_async(self._next())
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """Read no further."""
        self._over = True

    def printed(self) -> None:
        """Wait until all of it is printed, where it goes to our stdout."""
        if self._kind is StreamType.STDOUT:
            self._printing.join()

    # ---- how

    async def pieces(self) -> AsyncGenerator[T, None]:
        """A core: what the iterators give."""
        self._check()
        while (piece := await self._next()) is not None:
            yield piece

    async def _next(self) -> T | None:
        while not self._ready:
            if self._over:
                return None
            await patient(self._pull)
        return self._ready.popleft()

    def _check(self) -> None:
        if self._kind is not StreamType.PIPE:
            msg = f"{_NAMES[self.file_descriptor]} goes to {self._kind.name}, and cannot be read: leave {_NAMES[self.file_descriptor]}= out"
            raise InvalidError(msg)

    def _pull(self) -> None:
        """Make the next piece ready; whose caller gave up meanwhile leaves it to the next one."""
        with self._lock:
            if self._ready or self._over:
                return
            if self._source is None:
                self._source = self._open()
            piece = next(self._source, None)
            if piece is None:
                self._take(b"", final=True)
                self._over = True
                self._at_end()
            else:
                self._take(piece)

    def _take(self, piece: bytes, *, final: bool = False) -> None:
        if not self._text:
            if piece:
                self._ready.append(piece)
            return
        self._rest += self._decoder.decode(piece, final=final)
        lines = self._rest.split("\n")
        self._rest = lines.pop()
        self._ready.extend(f"{line}\n" for line in lines)
        if self._rest and (final or not self._by_line):
            self._ready.append(self._rest)
            self._rest = ""

    def _print(self) -> None:
        while (piece := drive(self._next())) is not None:
            if isinstance(piece, bytes):
                sys.stdout.buffer.write(piece)
            else:
                sys.stdout.write(piece)
            sys.stdout.flush()


class StreamWriter:
    """Standard input: `write` keeps, `drain` sends, `write_eof` and a `drain` end it."""

    def __init__(self, api: Callable[[], Api], path: str) -> None:
        self._api, self._path = api, path
        self._kept = bytearray()
        self._closed = self._ended = False

    def write(self, data: bytes | bytearray | memoryview | str) -> None:
        """Keep data until the next `drain()`."""
        if self._closed:
            msg = "Stdin is closed. Cannot write to it."
            raise ValueError(msg)
        if not isinstance(data, (bytes, bytearray, memoryview, str)):  # pyright: ignore[reportUnnecessaryIsInstance]
            msg = f"data argument must be a bytes-like object, not {type(data).__name__}"
            raise TypeError(msg)
        added = data.encode() if isinstance(data, str) else bytes(data)
        if len(self._kept) + len(added) > _MOST_BYTES:
            msg = f"more than {_MOST_BYTES} bytes wait to be sent: call drain() in between"
            raise BufferError(msg)
        self._kept += added

    def write_eof(self) -> None:
        """Nothing comes after what was written; told with the next `drain()`."""
        self._closed = True

    @both
    async def drain(self) -> None:
        """Send what was written; returns when the command, or its pipe, has taken it."""
        if self._kept or (self._closed and not self._ended):
            data, self._kept = bytes(self._kept), bytearray()
            self._ended = self._closed
            await patient(self._send, data)

    def _send(self, data: bytes) -> None:
        self._api().upload(self._path, io.BytesIO(data), len(data), {"eof": self._closed}, method="POST")
