"""Volume: a shared folder that functions mount, kept by the server. Changes are seen by all as they are made."""

import ctypes
import json
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Self
from urllib.parse import quote

from freehold.core.errors import AlreadyExistsError, DeprecationError, InvalidError, NotMountedError
from freehold.core.ids import is_id, new_id
from freehold.core.names import check_name
from freehold.core.specs import VolumeMount
from freehold.sdk.entries import FileEntry, FileEntryType, VolumeInfo, moment
from freehold.sdk.environment import api_of, check_own, given
from freehold.sdk.ephemeral import Ephemeral
from freehold.sdk.faces import blocking, both, both_items, both_static, opens, opens_static
from freehold.sdk.former import Former
from freehold.sdk.objects import Objects, newest
from freehold.sdk.tracebacks import warn
from freehold.sdk.upload import Upload

if TYPE_CHECKING:
    from freehold.protocol.schemas import FileView, VolumeView
    from freehold.sdk.http import Api, Query, Readable

_TYPES = {
    "file": FileEntryType.FILE,
    "directory": FileEntryType.DIRECTORY,
    "link": FileEntryType.SYMLINK,
    "fifo": FileEntryType.FIFO,
    "socket": FileEntryType.SOCKET,
}
_MOUNTED = "FREEHOLD_VOLUMES"  # in an instance: {path: volume}


@dataclass(frozen=True, kw_only=True)
class _Options:
    create_if_missing: bool = False
    ephemeral: bool = False
    read_only: bool = False  # the mount
    frozen: bool = False  # by read_only(): this object's methods change nothing either
    sub_path: str | None = None
    by_options: bool = False  # with_mount_options was called
    environment: str | None = None  # None: the process's own


class VolumeManager(Objects["Volume"]):
    """`Volume.objects`: volumes by name."""

    @both
    async def create(
        self,
        name: str,
        *,
        version: int | None = None,
        allow_existing: bool = False,
        environment_name: str | None = None,
        client: object = None,
        experimental_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Make an empty volume. Raises AlreadyExistsError when there is one of that name, unless `allow_existing`."""
        del client, experimental_options  # one client a process, one kind of volume
        _check_version(version)
        check_name(name, "a volume")
        try:
            await blocking(api_of(given(environment_name)).act, "PUT", _path(name))
        except AlreadyExistsError:
            if not allow_existing:
                raise

    async def _newest(self, limit: int | None, before_s: float | None, environment: str | None) -> "list[Volume]":
        from freehold.protocol.schemas import VolumeView

        views = await blocking(api_of(environment).get, "/v1/volumes", list[VolumeView])
        options = _Options(environment=environment)
        return [Volume(v.name, options)._take(v) for v in newest(views, limit, before_s)]

    async def _delete(self, name: str, environment: str | None) -> None:
        await blocking(api_of(environment).act, "DELETE", _path(check_name(name, "a volume")))


class Volume(Former):
    """Made by `from_name`, `from_id` or `ephemeral`; mounted with `volumes={"/path": volume}`."""

    objects = VolumeManager()

    def __init__(self, ref: str, options: _Options | None = None) -> None:
        check_name(ref, "a volume")
        self._ref, self._options = ref, options or _Options()
        self._view: VolumeView | None = None

    def __repr__(self) -> str:
        return f"Volume({self._ref!r})"

    @staticmethod
    def from_name(
        name: str,
        *,
        environment_name: str | None = None,
        create_if_missing: bool = False,
        version: int | None = None,
        create_options: Mapping[str, Any] | None = None,
        client: object = None,
    ) -> "Volume":
        """The volume of this name; nothing is asked of the server until it is used."""
        del create_options, client  # as above
        _check_version(version)
        return Volume(name, _Options(create_if_missing=create_if_missing, environment=given(environment_name)))

    @staticmethod
    def from_id(volume_id: str, client: object = None) -> "Volume":
        """The volume whose `object_id` this is."""
        del client
        if not is_id(volume_id, "vo"):
            msg = f"Volume.from_id: {volume_id!r} is no volume's id, which volume.object_id gives; for a name use Volume.from_name"
            raise InvalidError(msg)
        return Volume(volume_id)

    @opens_static
    @staticmethod
    def ephemeral(
        client: object = None,
        environment_name: str | None = None,
        version: int | None = None,
        create_options: Mapping[str, Any] | None = None,
    ) -> "Ephemeral[Volume]":
        """A volume that is deleted at the end of the `with` or `async with` block."""
        del client, create_options  # as above
        _check_version(version)
        options = _Options(create_if_missing=True, ephemeral=True, environment=given(environment_name))

        def make() -> Volume:
            return Volume(f"ephemeral-{new_id('vo')}", options).hydrate()

        return Ephemeral(make, lambda volume: volume._api().act("DELETE", _path(volume._ref)))

    @staticmethod
    @both_static
    async def rename(
        old_name: str, new_name: str, *, client: object = None, environment_name: str | None = None
    ) -> None:
        """Give a volume another name; functions that name the old one do not find it when they start next."""
        del client  # as above
        from freehold.protocol.schemas import RenameRequest

        path = f"{_path(check_name(old_name, 'a volume'))}/rename"
        await blocking(
            api_of(given(environment_name)).act, "POST", path, RenameRequest(name=check_name(new_name, "a volume"))
        )

    # ---- as a thing that has a name, an id and a way to be mounted

    @property
    def name(self) -> str | None:
        """Its name; None for one made from an id that has not been asked for yet."""
        return self._view.name if self._view else None if is_id(self._ref, "vo") else self._ref

    @property
    def object_id(self) -> str:
        """Its id, which stays when it is renamed."""
        return self._known().id

    @both
    async def hydrate(self, client: object = None) -> Self:
        """Ask the server for it now; NotFoundError when it is not there. With `create_if_missing`, it is made."""
        del client
        await blocking(self._known)
        return self

    @both
    async def info(self) -> VolumeInfo:
        view = await blocking(self._known)
        return VolumeInfo(view.name, moment(view.created))

    def mount(self, path: str) -> VolumeMount:
        """How a function's spec names it."""
        options = self._options
        check_own(options.environment, repr(self))
        return VolumeMount(
            path=path, name=self._ref, read_only=options.read_only, sub_path=options.sub_path,
            create_if_missing=options.create_if_missing, ephemeral=options.ephemeral,
        )  # fmt: skip

    def read_only(self) -> "Volume":
        """The same volume, mounted so that it cannot be changed; nor do this object's methods change it."""
        if self._options.by_options:
            msg = "read_only() does not go with with_mount_options(): use with_mount_options(read_only=True, …) alone"
            raise InvalidError(msg)
        return self._with(read_only=True, frozen=True)

    def with_mount_options(
        self, *, read_only: bool | None = None, sub_path: str | PurePosixPath | None = None
    ) -> "Volume":
        """The same volume, mounted so that it cannot be changed, or of which only a folder is mounted."""
        if self._options.frozen:
            msg = "with_mount_options() does not go with read_only(): use with_mount_options(read_only=True, …) alone"
            raise InvalidError(msg)
        changes: dict[str, Any] = {} if read_only is None else {"read_only": read_only}
        if sub_path is not None:
            changes["sub_path"] = _sub_path(sub_path)
        return self._with(by_options=True, **changes)

    # ---- from inside a function

    @both
    async def commit(self) -> None:
        """Put what was written to the disk, so that it outlasts a power cut; others see it without that, as it is written."""
        for path in await blocking(self._mounted, "commit"):
            await blocking(_sync, path)

    @both
    async def reload(self) -> None:
        """Nothing waits to be loaded: what others wrote is there already, open files or not."""
        await blocking(self._mounted, "reload")

    # ---- from anywhere

    @both
    async def listdir(self, path: str, *, recursive: bool = False) -> list[FileEntry]:
        """Entries of a folder; of a file, that file."""
        return await blocking(self._list, path, recursive)

    @both_items
    async def iterdir(self, path: str, *, recursive: bool = True) -> AsyncGenerator[FileEntry, None]:
        for entry in await blocking(self._list, path, recursive):
            yield entry

    @both_items
    async def read_file(self, path: str) -> AsyncGenerator[bytes, None]:
        """The file's bytes, in chunks. Raises a FileNotFoundError when there is none."""
        await blocking(self._known)
        chunks = self._api().download(self._file(path))
        while (chunk := await blocking(next, chunks, b"")) != b"":
            yield chunk

    @both
    async def read_file_into_fileobj(
        self, path: str, fileobj: IO[bytes], progress_cb: Callable[..., Any] | None = None
    ) -> int:
        """Write the file's bytes into `fileobj` and return how many there were."""
        del progress_cb  # Modal's own command line has it
        return await blocking(self._copy_into, path, fileobj)

    @both
    async def remove_file(self, path: str, recursive: bool = False) -> None:
        """Remove a file, or with `recursive` a folder. Raises a FileNotFoundError when there is none."""
        self._check_writable()
        await blocking(self._known)
        await blocking(self._api().act, "DELETE", self._file(path) + ("?recursive=true" if recursive else ""))

    @both
    async def copy_files(self, src_paths: Sequence[str], dst_path: str, recursive: bool = False) -> None:
        """Copy within the volume as `cp` does: to a name, or into a folder; folders with `recursive`."""
        self._check_writable()
        from freehold.protocol.schemas import CopyRequest

        if isinstance(src_paths, str):
            msg = f"copy_files: src_paths={src_paths!r} is one text: give a list, [{src_paths!r}]"
            raise InvalidError(msg)
        await blocking(self._known)
        body = CopyRequest(sources=tuple(str(p) for p in src_paths), target=str(dst_path), recursive=recursive)
        await blocking(self._api().act, "POST", f"{_path(self._ref)}/copy", body, patient=True)

    @opens
    def batch_upload(self, force: bool = False) -> Upload:
        """`with volume.batch_upload() as batch: batch.put_file(local, "/there")`; `force` replaces files that are there."""
        self._check_writable()
        return Upload(self, force=force)

    def put(self, path: str, content: "Readable", size: int, query: "Query") -> None:
        """Write one file of `size` bytes, whole or not at all; for uploads."""
        self._api().upload(self._file(path), content, size, query)

    # ---- names that Modal has given up

    @staticmethod
    @both_static
    async def lookup(
        name: str, client: object = None, environment_name: str | None = None, create_if_missing: bool = False
    ) -> "Volume":
        """As `from_name(...).hydrate()`."""
        del client
        warn("Volume.lookup is now Volume.from_name(...).hydrate()", DeprecationError)
        volume = Volume(name, _Options(create_if_missing=create_if_missing, environment=given(environment_name)))
        await blocking(volume._known)
        return volume

    @staticmethod
    @both_static
    async def delete(name: str, client: object = None, environment_name: str | None = None) -> None:
        """As `objects.delete`."""
        del client
        warn("Volume.delete is now Volume.objects.delete", DeprecationError)
        await blocking(api_of(given(environment_name)).act, "DELETE", _path(check_name(name, "a volume")))

    @staticmethod
    @both_static
    async def create_deployed(
        deployment_name: str, client: object = None, environment_name: str | None = None, version: int | None = None
    ) -> str:
        """As `objects.create`; gives the id."""
        del client
        _check_version(version)
        warn("Volume.create_deployed is now Volume.objects.create", DeprecationError)
        volume = Volume(deployment_name, _Options(environment=given(environment_name)))
        await blocking(volume._api().act, "PUT", _path(deployment_name))
        return (await blocking(volume._known)).id

    # ---- how

    def _api(self) -> "Api":
        return api_of(self._options.environment)

    def _with(self, **changes: Any) -> "Volume":
        made = Volume(self._ref, replace(self._options, **changes))
        made._view = self._view
        return made

    def _take(self, view: "VolumeView") -> "Volume":
        self._view = view
        return self

    def _known(self) -> "VolumeView":
        """What the server says of it, asked once."""
        from freehold.protocol.schemas import VolumeView

        if self._view is None:
            if self._options.create_if_missing:
                with suppress(AlreadyExistsError):
                    self._api().act("PUT", _path(self._ref))
            self._view = self._api().get(_path(self._ref), VolumeView, {"count": False})
        return self._view

    def _mounted(self, what: str) -> list[str]:
        """Where this instance has it mounted."""
        mounts: dict[str, str] = json.loads(os.environ.get(_MOUNTED, "{}"))
        found = [path for path, ref in mounts.items() if ref == self._ref]
        if not found and mounts:
            view = self._known()  # one may be named by its id, the other by its name
            found = [path for path, ref in mounts.items() if ref in (view.id, view.name)]
        if not found:
            msg = f"{self!r}.{what}() is for functions that have it mounted: add volumes={{'/path': volume}} to the function that calls it"
            raise NotMountedError(msg)
        return found

    def _check_writable(self) -> None:
        if self._options.frozen:
            msg = f"{self!r} was made by read_only(), so nothing can be written to it"
            raise InvalidError(msg)

    def _list(self, path: str, recursive: bool) -> list[FileEntry]:
        from freehold.protocol.schemas import FileView

        if path.endswith("*"):
            msg = f"{path!r} is a pattern: give a folder, with recursive=True for all that is beneath it"
            raise InvalidError(msg)
        self._known()
        query = {"path": path.strip("/"), "recursive": recursive}
        return [_entry(v) for v in self._api().get(f"{_path(self._ref)}/list", list[FileView], query)]

    def _copy_into(self, path: str, fileobj: IO[bytes]) -> int:
        self._known()
        return sum(fileobj.write(chunk) for chunk in self._api().download(self._file(path)))

    def _file(self, path: str) -> str:
        return f"{_path(self._ref)}/files/{quote(str(path).strip('/'), safe='/')}"

    def __reduce__(self) -> tuple[object, ...]:
        return Volume, (self._ref, self._options)


def _path(ref: str) -> str:
    return f"/v1/volumes/{quote(ref, safe='')}"


def _entry(view: "FileView") -> FileEntry:
    return FileEntry(view.path, _TYPES[view.type], int(view.modified), view.bytes)


def _check_version(version: int | None) -> None:
    if version not in (None, 1, 2):
        msg = f"version={version!r} is neither 1 nor 2; leave it out: there is one kind of volume"
        raise InvalidError(msg)


def _sub_path(given: str | PurePosixPath) -> str | None:
    path = PurePosixPath(given)
    if ".." in path.parts:
        msg = f"sub_path={str(given)!r} leads out of the volume: give a folder in it, such as 'users/me'"
        raise InvalidError(msg)
    return str(path).strip("/").removeprefix(".") or None


def _sync(path: str) -> None:
    """Put everything that was written to the file system of `path` to its disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(descriptor)
