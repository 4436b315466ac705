"""Upload: files on their way into a volume, sent together when the block ends."""

import asyncio
import contextlib
import io
import os
import stat
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Self

from freehold.core.errors import FileThereError, InvalidError, NotFoundError

if TYPE_CHECKING:
    from freehold.sdk.http import Readable
    from freehold.sdk.volume import Volume

_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class _File:
    content: Path | IO[bytes]
    remote: str
    executable: bool | None = None  # None: as the local file is


class Upload:
    """Files to be put into a volume; they go when the `with` block ends without an error."""

    def __init__(self, volume: "Volume", *, force: bool) -> None:
        self._volume, self._force = volume, force
        self._files: list[_File] = []

    def put_file(
        self,
        local_file: str | os.PathLike[str] | IO[bytes],
        remote_path: str | PurePosixPath,
        mode: int | None = None,
    ) -> None:
        """Put one file, given by path or as a binary file that stays open until the block ends. Of `mode` only its x counts."""
        remote = str(remote_path)
        if remote.endswith("/") or not remote.strip("/"):
            msg = f"remote_path={remote!r} names a folder: give the file's own name too"
            raise InvalidError(msg)
        content = Path(local_file) if isinstance(local_file, (str, os.PathLike)) else local_file
        executable = None if mode is None else bool(mode & stat.S_IXUSR)
        self._files.append(_File(content=content, remote=remote, executable=executable))

    def put_directory(
        self, local_path: str | os.PathLike[str], remote_path: str | PurePosixPath, recursive: bool = True
    ) -> None:
        """Put the files of a folder, and of those beneath it."""
        root = Path(local_path)
        if not root.is_dir():
            msg = f"put_directory({str(local_path)!r}): no such folder here"
            raise InvalidError(msg)
        for path in sorted(root.rglob("*") if recursive else root.glob("*")):
            if path.is_file():
                remote = f"{str(remote_path).rstrip('/')}/{path.relative_to(root).as_posix()}"
                self._files.append(_File(content=path, remote=remote))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._send()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            await asyncio.to_thread(self._send)

    def _send(self) -> None:
        """Send all. What can be known to fail is told before the first one goes."""
        for file in self._files:
            if isinstance(file.content, Path):
                file.content.open("rb").close()
        self._volume.hydrate()
        if not self._force:
            self._refuse_what_is_there()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(self._put, self._files):
                pass

    def _put(self, file: _File) -> None:
        with _opened(file) as (content, size, executable):
            self._volume.put(file.remote, content, size, {"force": self._force, "executable": executable})

    def _refuse_what_is_there(self) -> None:
        wanted = {str(PurePosixPath(f.remote.strip("/"))) for f in self._files}
        for folder in {str(PurePosixPath(w).parent) for w in wanted}:
            try:
                there = {e.path for e in self._volume.listdir("" if folder == "." else folder)}
            except NotFoundError:
                continue
            if both := sorted(wanted & there):
                msg = f"{both[0]!r} is in {self._volume!r} already, so nothing was sent: use batch_upload(force=True) to replace files"
                raise FileThereError(msg)


@contextlib.contextmanager
def _opened(file: _File) -> "Generator[tuple[Readable, int, bool]]":
    """Its content, size in bytes, and whether it may be run."""
    if isinstance(file.content, Path):
        with file.content.open("rb") as content:
            status = os.fstat(content.fileno())
            executable = bool(status.st_mode & stat.S_IXUSR) if file.executable is None else file.executable
            yield content, status.st_size, executable
        return
    content = file.content if file.content.seekable() else io.BytesIO(file.content.read())
    size = content.seek(0, os.SEEK_END)
    content.seek(0)
    yield content, size, bool(file.executable)
