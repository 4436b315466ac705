"""FileIO: what `Sandbox.open` gave, which Modal has given up. The file is held here as a whole, and written back by `flush` and `close`."""

import io
from collections.abc import Iterator
from typing import Self

from freehold.core.errors import InvalidError, SandboxFilesystemNotFoundError, SandboxFilesystemPathAlreadyExistsError
from freehold.sdk.faces import both
from freehold.sdk.sandbox_files import SandboxFilesystem

_MODES = frozenset(f"{first}{rest}" for first in "rwax" for rest in ("", "b", "t", "+", "b+", "+b", "t+", "+t"))


class FileIO:
    """An open file of a sandbox: text, or bytes where its mode has a "b"."""

    def __init__(self, files: SandboxFilesystem, path: str, mode: str) -> None:
        if mode not in _MODES:
            msg = f'Sandbox.open({path!r}, {mode!r}): a mode is "r", "w", "a" or "x", with "b" for bytes and "+" for both ways'
            raise InvalidError(msg)
        self._files, self._path, self._mode = files, path, mode
        self._held = io.BytesIO()
        self._changed = False
        self.closed = False

    async def opened(self) -> Self:
        """The same, with what the file holds; of a core."""
        first = self._mode[0]
        try:
            held = b"" if first == "w" else await self._files.read_bytes.core(self._path)
        except SandboxFilesystemNotFoundError:
            if first == "r":
                raise
            held = b""
        else:
            if first == "x":
                raise SandboxFilesystemPathAlreadyExistsError(f"{self._path!r}: File exists")
        self._held = io.BytesIO(held)
        self._held.seek(0, io.SEEK_END if first == "a" else io.SEEK_SET)
        self._changed = first != "r" and not held  # it is there from now on, and empty
        await self._flush()
        return self

    @both
    async def read(self, n: int | None = None) -> str | bytes:
        """So many bytes, or all that are left."""
        return self._given(self._readable().read(-1 if n is None else n))

    @both
    async def readline(self) -> str | bytes:
        """A line with its end; empty at the end of the file."""
        return self._given(self._readable().readline())

    @both
    async def readlines(self) -> list[str] | list[bytes]:
        lines = self._readable().readlines()
        return lines if "b" in self._mode else [line.decode() for line in lines]

    @both
    async def write(self, data: str | bytes) -> None:
        if self._mode[0] == "r" and "+" not in self._mode:
            raise self._wrong("is open for reading alone")
        if isinstance(data, str) is ("b" in self._mode):
            raise self._wrong(f"takes {'bytes' if 'b' in self._mode else 'text'}, not {type(data).__name__}")
        if self._mode[0] == "a":
            self._open().seek(0, io.SEEK_END)
        self._open().write(data.encode() if isinstance(data, str) else data)
        self._changed = True

    @both
    async def seek(self, offset: int, whence: int = 0) -> None:
        self._open().seek(offset, whence)

    @both
    async def flush(self) -> None:
        """Write what has changed into the sandbox."""
        self._open()
        await self._flush()

    @both
    async def close(self) -> None:
        if not self.closed:
            await self._flush()
            self.closed = True

    def __iter__(self) -> Iterator[str | bytes]:
        while line := self.readline():
            yield line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close.aio()

    # ---- how

    async def _flush(self) -> None:
        if self._changed:
            await self._files.write_bytes.core(self._held.getvalue(), self._path)
            self._changed = False

    def _open(self) -> io.BytesIO:
        if self.closed:
            raise self._wrong("is closed")
        return self._held

    def _readable(self) -> io.BytesIO:
        if self._mode[0] != "r" and "+" not in self._mode:
            raise self._wrong("is open for writing alone")
        return self._open()

    def _given(self, data: bytes) -> str | bytes:
        return data if "b" in self._mode else data.decode()

    def _wrong(self, what: str) -> InvalidError:
        return InvalidError(f"the sandbox's file {self._path!r}, opened with {self._mode!r}, {what}")
