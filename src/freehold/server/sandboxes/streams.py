"""A command's output, kept until it is read and no further than a bound; and its input, written as fast as it is taken."""

import asyncio
import contextlib
import errno
import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from freehold.core.errors import ConflictError

MOST_BYTES = 64 * 2**20  # unread, of one stream
_IN_MEMORY_BYTES = 16 * 1024
_READ_BYTES, _PIECE_BYTES = 64 * 1024, 256 * 1024
_LINE_END_S = 0.02  # how long the end of a line is waited for
_BYTES_A_TURN = 8 * 2**20  # of a stream that nothing holds up: so much every second


class Output:
    """One stream, read from the pipe's end `fd`, which becomes ours.

    What is unread beyond the bound holds the command up; with `newest`, which keeps what was read too, the oldest goes instead.
    """

    def __init__(
        self,
        fd: int,
        folder: Path,
        *,
        newest: bool = False,
        tee: Callable[[bytes], None] | None = None,
        most: int = MOST_BYTES,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._fd, self._folder, self._newest, self._tee, self._most = fd, folder, newest, tee, most
        self._file: IO[bytes] = self._new_file()
        self._older: IO[bytes] = io.BytesIO()  # what stands before the file, where that is kept
        # offsets in the stream: of the first byte of each, of the file's last, and what was read
        self._older_start = self._start = self._end = self._read_to = 0
        self._grown = asyncio.Event()
        self._reading = self.closed = False
        self._turn_ends, self._turn_bytes = 0.0, 0
        os.set_blocking(fd, False)
        self._resume()

    async def read(self, offset: int) -> tuple[bytes, int]:
        """The next bytes at `offset` or after it, once there are any, and the offset behind them; no bytes at the end of the stream.

        Whoever reads on has what came before: it is kept no longer.
        """
        self._forget(offset)
        while self._end <= offset and not self.closed:
            await self._grown.wait()
        data, end = self._from(offset)
        if data and not data.endswith(b"\n") and len(data) < _PIECE_BYTES:
            # unbuffered programs write a line and its end apart: what belongs together is given together
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LINE_END_S):
                    while not data.endswith(b"\n") and not self.closed and len(data) < _PIECE_BYTES:
                        await self._grown.wait()
                        data, end = self._from(offset)
            data, end = self._from(offset)
        return data, end

    def _from(self, offset: int) -> tuple[bytes, int]:
        at = max(offset, self._older_start)
        if at < self._start:
            file, start, end = self._older, self._older_start, self._start
        else:
            file, start, end = self._file, self._start, self._end
        file.seek(at - start)
        data = file.read(min(_PIECE_BYTES, max(0, end - at)))
        return data, at + len(data)

    async def ended(self) -> None:
        """Wait until all of it has come."""
        while not self.closed:
            await self._grown.wait()

    def close(self) -> None:
        """Take no more."""
        if not self.closed:
            self._pause()
            os.close(self._fd)
            self.closed = True
            self._wake()

    def discard(self) -> None:
        self.close()
        for file in (self._older, self._file):
            file.close()
        self._older, self._file = io.BytesIO(), io.BytesIO()
        self._older_start = self._start = self._end

    # ---- how

    def _new_file(self) -> IO[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        return tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES, dir=str(self._folder))

    def _resume(self) -> None:
        if not self._reading and not self.closed:
            self._reading = True
            self._loop.add_reader(self._fd, self._pull)

    def _pause(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    def _pull(self) -> None:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        if self._tee is not None:
            self._tee(data)
        self._keep(data)
        self._hold_back(len(data))

    def _keep(self, data: bytes) -> None:
        self._file.seek(self._end - self._start)
        try:
            self._file.write(data)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            self._file.truncate(self._end - self._start)
            self.close()  # the command sees a broken pipe; what is there can be read
            return
        self._end += len(data)
        self._wake()

    def _hold_back(self, size: int) -> None:
        if not self._newest:
            if self._end - max(self._read_to, self._start) >= self._most:
                self._pause()
            return
        if self._end - self._start > self._most:
            self._begin_file()
        now = self._loop.time()
        if now > self._turn_ends:
            self._turn_ends, self._turn_bytes = now + 1, 0
        self._turn_bytes += size
        if self._turn_bytes > _BYTES_A_TURN:
            self._pause()
            self._loop.call_at(self._turn_ends, self._resume)

    def _begin_file(self) -> None:
        """Keep the file that is full, and what comes; not what came before it. Nothing is copied: the loop has others to serve."""
        self._older.close()
        self._older, self._older_start = self._file, self._start
        self._file, self._start = self._new_file(), self._end

    def _forget(self, offset: int) -> None:
        self._read_to = max(self._read_to, min(offset, self._end))
        if self._newest:
            return
        if self._read_to >= self._end and self._end > self._start:
            self._file.seek(0)
            self._file.truncate()
            self._older_start = self._start = self._end
        if self._end - max(self._read_to, self._start) < self._most:
            self._resume()

    def _wake(self) -> None:
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()


class Input:
    """A command's standard input: the pipe's end `fd`, which becomes ours."""

    def __init__(self, fd: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._fd = fd
        self._lock = asyncio.Lock()
        os.set_blocking(fd, False)

    async def write(self, data: bytes) -> None:
        """Write all of it; returns when the command, or its pipe, has taken it. ConflictError when nobody reads any more."""
        async with self._lock:
            view = memoryview(data)
            while view:
                if self._fd < 0:
                    raise ConflictError("the command's standard input is closed")
                try:
                    view = view[os.write(self._fd, view) :]
                except BlockingIOError:
                    await self._writable()
                except OSError:
                    self.close()
                    raise ConflictError("the command reads its standard input no longer, or has ended") from None

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._loop.remove_writer(fd)
            os.close(fd)

    async def end(self) -> None:
        """Nothing more comes, once all is written that was to be."""
        async with self._lock:
            self.close()

    async def _writable(self) -> None:
        ready, fd = asyncio.Event(), self._fd
        self._loop.add_writer(fd, ready.set)
        try:
            async with asyncio.timeout(1):  # looked at again: it may have been closed beside us
                await ready.wait()
        except TimeoutError:
            return
        finally:
            if self._fd == fd:
                self._loop.remove_writer(fd)
