"""SandboxFilesystem: files of a running sandbox, worked on from inside it; a path or a link there leads nowhere else."""

import os
import secrets
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from freehold.core import errors
from freehold.core.errors import ConflictError, InvalidError, SandboxFilesystemError
from freehold.sdk.container_process import ContainerProcess
from freehold.sdk.faces import both, both_items
from freehold.sdk.types import FileInfo, FileType, FileWatchEvent, FileWatchEventType

_CHUNK = 4 * 1024 * 1024
Tool = Callable[[str, dict[str, Any]], Coroutine[Any, Any, ContainerProcess[bytes]]]
_ERRORS: dict[str, type[SandboxFilesystemError]] = {
    "ENOENT": errors.SandboxFilesystemNotFoundError,
    "EISDIR": errors.SandboxFilesystemIsADirectoryError,
    "ENOTDIR": errors.SandboxFilesystemNotADirectoryError,
    "ENOTEMPTY": errors.SandboxFilesystemDirectoryNotEmptyError,
    "EACCES": errors.SandboxFilesystemPermissionError,
    "EPERM": errors.SandboxFilesystemPermissionError,
    "EROFS": errors.SandboxFilesystemPermissionError,
    "EEXIST": errors.SandboxFilesystemPathAlreadyExistsError,
    "EFBIG": errors.SandboxFilesystemFileTooLargeError,
}


class SandboxFilesystem:
    """`sandbox.filesystem`. Paths are absolute ones of the sandbox's."""

    def __init__(self, tool: Tool) -> None:
        self._tool = tool

    @both
    async def read_bytes(self, remote_path: str) -> bytes:
        return await self._read(remote_path)

    @both
    async def read_text(self, remote_path: str) -> str:
        return (await self._read(remote_path)).decode()

    @both
    async def write_bytes(self, data: bytes | bytearray | memoryview, remote_path: str) -> None:
        """Write a file; folders on the way are made."""
        if not isinstance(data, (bytes, bytearray, memoryview)):  # pyright: ignore[reportUnnecessaryIsInstance]
            msg = "data must be bytes-like"
            raise TypeError(msg)
        await self._write(bytes(data), remote_path)

    @both
    async def write_text(self, data: str, remote_path: str) -> None:
        """Write a file as UTF-8; folders on the way are made."""
        if not isinstance(data, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            msg = "data must be str"
            raise TypeError(msg)
        await self._write(data.encode(), remote_path)

    @both
    async def copy_from_local(self, local_path: str | os.PathLike[str], remote_path: str) -> None:
        """Copy a file of this machine into the sandbox."""
        with Path(local_path).open("rb") as file:  # noqa: ASYNC230 (a core: the faces decide who waits)
            await self._write(file, remote_path)

    @both
    async def copy_to_local(self, remote_path: str, local_path: str | os.PathLike[str]) -> None:
        """Copy a file of the sandbox to this machine: whole, or not at all."""
        target = Path(local_path)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            process = await self._start("read", path=_absolute(remote_path))
            with draft.open("wb") as file:
                async for piece in process.stdout.pieces():
                    file.write(piece)
            await _succeed(process, remote_path)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)

    @both
    async def list_files(self, remote_path: str) -> list[FileInfo]:
        """Entries of a folder, by name."""
        process = await self._start("list", path=_absolute(remote_path))
        return [_info(entry) for entry in await _json(process, remote_path)]

    @both
    async def stat(self, remote_path: str) -> FileInfo:
        """An entry; of a link, the link itself."""
        return _info(await _json(await self._start("stat", path=_absolute(remote_path)), remote_path))

    @both
    async def make_directory(self, remote_path: str, *, create_parents: bool = True) -> None:
        """Make a folder; with `create_parents` also those above it, and it may be there already."""
        await _succeed(await self._start("make", path=_absolute(remote_path), parents=create_parents), remote_path)

    @both
    async def remove(self, remote_path: str, *, recursive: bool = False) -> None:
        """Remove a file or an empty folder; with `recursive` a folder and all that is in it."""
        await _succeed(await self._start("remove", path=_absolute(remote_path), recursive=recursive), remote_path)

    @both_items
    async def watch(
        self, remote_path: str, *, filter: list[FileWatchEventType] | None = None, recursive: bool = False, timeout: int | None = None  # noqa: A002, ASYNC109 (Modal's names)
    ) -> AsyncGenerator[FileWatchEvent, None]:  # fmt: skip
        """Changes below a path as they come, until `timeout` seconds are over or the iterator is closed."""
        process = await self._start("watch", path=_absolute(remote_path), recursive=recursive, timeout_s=timeout)
        rest = b""
        try:
            async for piece in process.stdout.pieces():
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    event = msgspec.json.decode(line, type=dict[str, Any])
                    if event and (filter is None or FileWatchEventType(event["type"]) in filter):
                        yield FileWatchEvent(paths=event["paths"], type=FileWatchEventType(event["type"]))
        finally:
            await _end(process)
        await _succeed(process, remote_path)

    # ---- how

    async def _start(self, name: str, **arguments: Any) -> ContainerProcess[bytes]:
        return await self._tool(name, arguments)

    async def _read(self, path: str) -> bytes:
        process = await self._start("read", path=_absolute(path))
        data = b"".join([piece async for piece in process.stdout.pieces()])
        await _succeed(process, path)
        return data

    async def _write(self, content: bytes | IO[bytes], path: str) -> None:
        process = await self._start("write", path=_absolute(path))
        try:
            for chunk in _chunks(content):
                process.stdin.write(chunk)
                await process.stdin.drain.core()
        except ConflictError:  # it failed and reads no further; its end says why
            await _succeed(process, path)
            raise
        await _end(process)
        await _succeed(process, path)


def _chunks(content: bytes | IO[bytes]) -> Generator[bytes, None, None]:
    if isinstance(content, bytes):
        yield from (content[at : at + _CHUNK] for at in range(0, len(content), _CHUNK))
    else:
        while chunk := content.read(_CHUNK):
            yield chunk


async def _end(process: ContainerProcess[bytes]) -> None:
    process.stdin.write_eof()
    with suppress(errors.Error):  # it has ended already
        await process.stdin.drain.core()


async def _succeed(process: ContainerProcess[bytes], path: str) -> None:
    view = await process.view.core()
    if view.returncode:
        failure = view.failure or {}
        name, message = failure.get("error", ""), failure.get("message", "it ended")
        raise _ERRORS.get(name, SandboxFilesystemError)(f"{path!r}: {message}")


async def _json(process: ContainerProcess[bytes], path: str) -> Any:
    data = b"".join([piece async for piece in process.stdout.pieces()])
    await _succeed(process, path)
    return msgspec.json.decode(data)


def _info(entry: dict[str, Any]) -> FileInfo:
    return FileInfo(**cast("dict[str, Any]", entry | {"type": FileType(entry["type"])}))


def _absolute(path: str) -> str:
    if not path.startswith("/") or "\0" in path:
        msg = f"{path!r} is no absolute path of the sandbox's: give one such as '/work/file.txt'"
        raise InvalidError(msg)
    return path
