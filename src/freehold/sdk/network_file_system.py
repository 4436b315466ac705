"""NetworkFileSystem: Modal's older shared folder, which it has given up. Here it is the Volume of the same name."""

import fnmatch
import os
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Self

from freehold.core.errors import DeprecationError, InvalidError
from freehold.core.specs import VolumeMount
from freehold.sdk.entries import FileEntry
from freehold.sdk.ephemeral import Ephemeral
from freehold.sdk.faces import blocking, both, both_items, both_static, opens_static
from freehold.sdk.former import Former
from freehold.sdk.tracebacks import warn
from freehold.sdk.volume import Volume

_PATTERN = ("*", "?", "[")


class NetworkFileSystem(Former):
    """Made by `from_name` or `ephemeral`; mounted with `network_file_systems={"/path": it}`."""

    def __init__(self, volume: Volume) -> None:
        self.volume = volume

    def __repr__(self) -> str:
        return f"NetworkFileSystem({self.volume.name!r})"

    @staticmethod
    def from_name(
        name: str, *, environment_name: str | None = None, create_if_missing: bool = False, client: object = None
    ) -> "NetworkFileSystem":
        """The volume of this name, under the older interface."""
        del client  # one a process
        _warn()
        return NetworkFileSystem(
            Volume.from_name(name, create_if_missing=create_if_missing, environment_name=environment_name)
        )

    @opens_static
    @staticmethod
    def ephemeral(client: object = None, environment_name: str | None = None) -> "Ephemeral[NetworkFileSystem]":
        """One that is deleted at the end of the `with` or `async with` block."""
        del client  # as above
        _warn()
        made = Volume.ephemeral(environment_name=environment_name)
        return Ephemeral(lambda: NetworkFileSystem(made.__enter__()), lambda _: made.__exit__())

    @staticmethod
    @both_static
    async def create_deployed(deployment_name: str, client: object = None, environment_name: str | None = None) -> str:
        """Make an empty one; gives its id."""
        del client  # as above
        _warn()
        await blocking(Volume.objects.create, deployment_name, environment_name=environment_name)
        made = Volume.from_name(deployment_name, environment_name=environment_name)
        return (await blocking(made.hydrate)).object_id

    @staticmethod
    @both_static
    async def delete(name: str, client: object = None, environment_name: str | None = None) -> None:
        del client  # as above
        await blocking(Volume.objects.delete, name, environment_name=environment_name)

    @property
    def object_id(self) -> str:
        return self.volume.object_id

    @both
    async def hydrate(self, client: object = None) -> Self:
        del client
        await blocking(self.volume.hydrate)
        return self

    def mount(self, path: str) -> VolumeMount:
        """How a function's spec names it."""
        return self.volume.mount(path)

    @both
    async def write_file(self, remote_path: str, fp: BinaryIO, progress_cb: Callable[..., Any] | None = None) -> int:
        """Write an open binary file, replacing what is there; into a folder when the path ends in /. Gives its size in bytes."""
        del progress_cb  # Modal's own command line has it
        remote = str(remote_path)
        if remote.endswith("/"):
            name = getattr(fp, "name", None)
            if not isinstance(name, str):
                msg = f"write_file({remote!r}): a file without a name cannot go into a folder: give its name too"
                raise InvalidError(msg)
            remote += Path(name).name
        return await blocking(self._write, remote, fp)

    @both_items
    async def read_file(self, path: str) -> AsyncGenerator[bytes, None]:
        """The file's bytes, in chunks. Raises a FileNotFoundError when there is none."""
        chunks = self.volume.read_file(path)
        while (chunk := await blocking(next, chunks, b"")) != b"":
            yield chunk

    @both_items
    async def iterdir(self, path: str) -> AsyncGenerator[FileEntry, None]:
        """As `listdir`."""
        for entry in await blocking(self._list, path):
            yield entry

    @both
    async def listdir(self, path: str) -> list[FileEntry]:
        """A folder's entries, named relative to it; or, by a pattern such as `logs/*.txt`, all that match, from the root."""
        return await blocking(self._list, path)

    @both
    async def add_local_file(
        self,
        local_path: str | os.PathLike[str],
        remote_path: str | PurePosixPath | None = None,
        progress_cb: Callable[..., Any] | None = None,
    ) -> int:
        """Copy a file of this machine, to the root unless told where. Gives its size in bytes."""
        del progress_cb  # as above
        local = Path(local_path)
        return await blocking(self._add, local, str(remote_path or f"/{local.name}"))

    @both
    async def add_local_dir(
        self,
        local_path: str | os.PathLike[str],
        remote_path: str | PurePosixPath | None = None,
        progress_cb: Callable[..., Any] | None = None,
    ) -> None:
        """Copy a folder of this machine with all beneath it, to the root unless told where."""
        del progress_cb  # as above
        local = Path(local_path)
        with self.volume.batch_upload(force=True) as batch:
            batch.put_directory(local, str(remote_path or f"/{local.name}"))

    @both
    async def remove_file(self, path: str, recursive: bool = False) -> None:
        """Remove a file, or with `recursive` a folder. Raises a FileNotFoundError when there is none."""
        await blocking(self.volume.remove_file, path, recursive)

    # ---- how

    def _add(self, local: Path, remote: str) -> int:
        with local.open("rb") as file:
            return self._write(remote, file)

    def _write(self, remote: str, file: BinaryIO) -> int:
        with self.volume.batch_upload(force=True) as batch:
            batch.put_file(file, remote)
        return file.seek(0, os.SEEK_END) if file.seekable() else file.tell()

    def _list(self, path: str) -> list[FileEntry]:
        wanted = path.strip("/")
        if any(mark in wanted for mark in _PATTERN):
            found = self.volume.listdir("/", recursive=True)
            return [e for e in found if fnmatch.fnmatchcase(e.path, wanted)]
        found = self.volume.listdir(wanted)
        if not wanted or [e.path for e in found] == [wanted]:
            return found
        return [replace(e, path=e.path.removeprefix(f"{wanted}/")) for e in found]


def _warn() -> None:
    warn("NetworkFileSystem is given up: use Volume, which has the same files under the same name", DeprecationError)
