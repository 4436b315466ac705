"""Volume: a shared folder that functions mount, kept by the server. Changes are seen by all as they are made."""

import io
import os
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self
from urllib.parse import quote

from freehold.core.errors import AlreadyExistsError, InvalidError
from freehold.core.ids import new_id
from freehold.core.names import check_name
from freehold.core.specs import VolumeMount
from freehold.sdk.faces import blocking, both, both_items

if TYPE_CHECKING:
    from freehold.protocol.schemas import FileView
    from freehold.sdk.http import Api


@dataclass(frozen=True, kw_only=True)
class _Options:
    create_if_missing: bool = False
    ephemeral: bool = False
    read_only: bool = False


class Volume:
    """Made by `from_name` or `ephemeral`; mounted with `volumes={"/path": volume}`."""

    def __init__(self, name: str, options: _Options | None = None) -> None:
        check_name(name, "a volume")
        self.name, self._options, self._known = name, options or _Options(), False

    def __repr__(self) -> str:
        return f"Volume({self.name!r})"

    @staticmethod
    def from_name(
        name: str, *, create_if_missing: bool = False, environment_name: str | None = None, version: int | None = None
    ) -> "Volume":
        """The volume of this name; nothing is asked of the server until it is used."""
        del environment_name, version  # one environment a server, one kind of volume
        return Volume(name, _Options(create_if_missing=create_if_missing))

    @staticmethod
    @contextmanager
    def ephemeral() -> Generator["Volume", None, None]:
        """A volume that is deleted at the end of the `with` block."""
        volume = Volume(f"ephemeral-{new_id('vo')}", _Options(create_if_missing=True, ephemeral=True))
        api = volume._api()
        try:
            yield volume
        finally:
            api.act("DELETE", f"/v1/volumes/{quote(volume.name, safe='')}")

    def mount(self, path: str) -> VolumeMount:
        """How a function's spec names it."""
        return VolumeMount(
            path=path, name=self.name, read_only=self._options.read_only,
            create_if_missing=self._options.create_if_missing, ephemeral=self._options.ephemeral,
        )  # fmt: skip

    def read_only(self) -> "Volume":
        """The same volume, mounted so that it cannot be changed."""
        return self.with_mount_options(read_only=True)

    def with_mount_options(self, *, read_only: bool = False) -> "Volume":
        return Volume(self.name, replace(self._options, read_only=read_only))

    # ---- from inside a function

    @both
    async def commit(self) -> None:
        """Nothing waits to be committed: a volume is one shared folder, and what is written and closed is there for all."""

    @both
    async def reload(self) -> None:
        """Nothing waits to be loaded: what others wrote is there already."""

    # ---- from anywhere

    @both
    async def listdir(self, path: str, *, recursive: bool = False) -> "list[FileView]":
        """Entries of a folder."""
        return await blocking(self._list, path, recursive)

    @both_items
    async def iterdir(self, path: str, *, recursive: bool = True) -> "AsyncGenerator[FileView, None]":
        for entry in await blocking(self._list, path, recursive):
            yield entry

    @both_items
    async def read_file(self, path: str) -> AsyncGenerator[bytes, None]:
        """The file's bytes, in chunks."""
        chunks = self._api().download(self._file(path))
        while (chunk := await blocking(next, chunks, b"")) != b"":
            yield chunk

    @both
    async def read_file_into_fileobj(self, path: str, fileobj: IO[bytes]) -> int:
        """Write the file's bytes into `fileobj` and return how many there were."""
        return await blocking(self._copy_into, path, fileobj)

    @both
    async def remove_file(self, path: str, *, recursive: bool = False) -> None:
        suffix = "?recursive=true" if recursive else ""
        await blocking(self._api().act, "DELETE", self._file(path) + suffix)

    def batch_upload(self, *, force: bool = False) -> "Upload":
        """`with volume.batch_upload() as batch: batch.put_file(local, "/there")`; `force` replaces files that are there."""
        return Upload(self._api, self.name, force=force)

    # ---- how

    def _api(self) -> "Api":
        from freehold.sdk import client

        api = client.current().api
        if self._options.create_if_missing and not self._known:
            with suppress(AlreadyExistsError):
                api.act("PUT", f"/v1/volumes/{quote(self.name, safe='')}")
        self._known = True
        return api

    def _list(self, path: str, recursive: bool) -> "list[FileView]":
        from freehold.protocol.schemas import FileView

        query = {"path": path.strip("/"), "recursive": recursive}
        return self._api().get(f"/v1/volumes/{quote(self.name, safe='')}/list", list[FileView], query)

    def _copy_into(self, path: str, fileobj: IO[bytes]) -> int:
        return sum(fileobj.write(chunk) for chunk in self._api().download(self._file(path)))

    def _file(self, path: str) -> str:
        return file_path(self.name, path)

    def __reduce__(self) -> tuple[object, ...]:
        return Volume, (self.name, self._options)


class Upload:
    """Files to be put into a volume; they go when the `with` block ends without an error."""

    def __init__(self, api: Any, volume: str, *, force: bool) -> None:
        self._api, self._volume, self._force = api, volume, force
        self._files: list[tuple[str, Path | bytes]] = []

    def put_file(
        self, local_file: str | os.PathLike[str] | IO[bytes], remote_path: str, mode: int | None = None
    ) -> None:
        """Put one file, given by path or as an open binary file."""
        del mode  # a volume's files belong to whoever runs the server
        if isinstance(local_file, (str, os.PathLike)):
            self._files.append((remote_path, Path(local_file)))
        else:
            self._files.append((remote_path, local_file.read()))

    def put_directory(self, local_path: str | os.PathLike[str], remote_path: str, recursive: bool = True) -> None:
        """Put the files of a folder, and of those beneath it."""
        root = Path(local_path)
        if not root.is_dir():
            msg = f"put_directory({str(local_path)!r}): no such folder here"
            raise InvalidError(msg)
        for path in sorted(root.rglob("*") if recursive else root.glob("*")):
            if path.is_file():
                self._files.append((f"{remote_path.rstrip('/')}/{path.relative_to(root).as_posix()}", path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._send()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            import asyncio

            await asyncio.to_thread(self._send)

    def _send(self) -> None:
        api: Api = self._api()
        for remote, content in self._files:
            with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
                size = len(content) if isinstance(content, bytes) else content.stat().st_size
                api.upload(file_path(self._volume, remote), file, size, {"force": self._force})


def file_path(volume: str, path: str) -> str:
    """The API's path of a file in a volume."""
    return f"/v1/volumes/{quote(volume, safe='')}/files/{quote(path.lstrip('/'), safe='/')}"
