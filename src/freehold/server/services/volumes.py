"""Volumes: named folders that functions share. `<home>/volumes/<workspace>/<name>/files` is what instances see.

Wherever a volume is named, its id will do: that stays when it is renamed.
"""

import asyncio
import contextlib
import errno
import os
import shutil
import stat
import time
from collections.abc import AsyncIterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from freehold.core.errors import (
    AlreadyExistsError,
    ConflictError,
    Error,
    FileThereError,
    InvalidError,
    NoFileError,
    NotFoundError,
)
from freehold.core.ids import is_id, new_id
from freehold.core.names import check_name, is_name
from freehold.core.suggest import did_you_mean
from freehold.protocol.schemas import FileKind, FileView, VolumeView
from freehold.server.services.beneath import folder, open_file, parts_of
from freehold.server.services.copying import copy
from freehold.server.services.uploads import Upload, disk_error, receive

_KINDS: dict[int, FileKind] = {
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


class Volumes:
    """The volumes of one home. Files are opened beneath their volume's root only."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self) -> None:
        """Make the folder, and drop what interrupted uploads and deletions have left."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in (*self._root.glob("*/.deleted-*"), *self._root.glob("*/.new-*"), *self._root.glob("*/*/uploads")):
            shutil.rmtree(left, ignore_errors=True)

    # ---- volumes

    async def create(self, workspace: str, name: str) -> VolumeView:
        """Raises AlreadyExistsError for a name that is taken."""
        return await asyncio.to_thread(self._create, workspace, name)

    async def list(self, workspace: str) -> Sequence[VolumeView]:
        """By name; sizes are left out, `get` counts them."""
        return await asyncio.to_thread(_list, self._root / workspace)

    async def get(self, workspace: str, name: str, *, count: bool = True) -> VolumeView:
        """With `count`, its files are counted, which takes a while for many."""
        home = self._home(workspace, name)
        return await asyncio.to_thread(_view, home, count=count)

    async def rename(self, workspace: str, name: str, new: str) -> VolumeView:
        """Give it another name, at once and whole. Raises AlreadyExistsError for one that is taken.

        Instances that have it mounted keep it.
        """
        home, target = self._home(workspace, name), self._home(workspace, _checked(new), there=False)
        try:
            home.rename(target)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                msg = f"there is a volume {new!r} already"
                raise AlreadyExistsError(msg) from None
            raise disk_error(error, home) from error
        return await asyncio.to_thread(_view, target, count=False)

    async def delete(self, workspace: str, name: str) -> None:
        """Delete it with all its files; instances that have it open keep what they have open."""
        home = self._home(workspace, name)
        grave = home.parent / f".deleted-{os.urandom(8).hex()}"
        home.rename(grave)
        await asyncio.to_thread(shutil.rmtree, grave, ignore_errors=True)

    async def delete_all(self, workspace: str) -> None:
        """Delete all volumes of a workspace."""
        for view in await self.list(workspace):
            await self.delete(workspace, view.name)

    async def host_path(self, workspace: str, name: str, *, create: bool = False, sub_path: str | None = None) -> Path:
        """The folder that instances see. Raises NotFoundError unless it is there or `create` is set; a `sub_path` is made."""
        if create and not is_id(name, "vo"):
            with contextlib.suppress(AlreadyExistsError):
                await self.create(workspace, name)
        root = self._home(workspace, name) / "files"
        if sub_path is None:
            return root
        names = parts_of(sub_path.lstrip("/"))
        await asyncio.to_thread(_make_folder, root, names)
        return root.joinpath(*names)

    # ---- files

    async def ls(self, workspace: str, name: str, path: str, *, recursive: bool = False) -> Sequence[FileView]:
        """What lies in a folder, by name; a file's path gives that file."""
        root = await self.host_path(workspace, name)
        return await asyncio.to_thread(_ls, root, parts_of(path), recursive=recursive)

    async def open_read(self, workspace: str, name: str, path: str) -> BinaryIO:
        """A file, opened. Raises NotFoundError, or InvalidError for what is no regular file."""
        root = await self.host_path(workspace, name)
        return await asyncio.to_thread(_open_read, root, parts_of(path))

    async def put(
        self,
        workspace: str,
        name: str,
        path: str,
        stream: AsyncIterable[bytes],
        *,
        force: bool = True,
        executable: bool = False,
    ) -> FileView:
        """Write a file whole: readers see the old one or the new one. With force=False it must not be there yet."""
        root, names = await self.host_path(workspace, name), parts_of(path)
        if not names:
            msg = "a file needs a path below the volume's root"
            raise InvalidError(msg)
        upload = await receive(stream, root.parent / "uploads", mode=0o755 if executable else 0o644)
        try:
            return await asyncio.to_thread(_place, upload, root, names, force=force)
        except Error:
            raise
        except OSError as error:
            raise disk_error(error, root.parent) from error
        finally:
            upload.discard()

    async def remove(self, workspace: str, name: str, path: str, *, recursive: bool = False) -> None:
        root, names = await self.host_path(workspace, name), parts_of(path)
        if not names:
            msg = "the volume's root cannot be removed; delete the volume instead"
            raise InvalidError(msg)
        await asyncio.to_thread(_remove, root, names, recursive=recursive)

    async def copy(
        self, workspace: str, name: str, sources: Sequence[str], target: str, *, recursive: bool = False
    ) -> None:
        """As `cp` does: to the target's name, or into it when it is a folder. Each file is whole or as it was."""
        root = await self.host_path(workspace, name)
        await asyncio.to_thread(copy, root, sources, target, recursive=recursive)

    # ---- ours

    def _home(self, workspace: str, name: str, *, there: bool = True) -> Path:
        check_name(name, "a volume")
        check_name(workspace, "a workspace")
        home = self._root / workspace / name
        if there and is_id(name, "vo"):
            found = next((f.parent for f in _each(home.parent, "id") if _read(f) == name), None)
            if found is None:
                msg = f"there is no volume with the id {name!r}; it was deleted"
                raise NotFoundError(msg)
            return found
        if there and not (home / "files").is_dir():
            known = (f.parent.name for f in _each(home.parent, "files"))
            hint = did_you_mean(name, known) or f"; create it with `freehold volume create {name}`"
            msg = f"no volume {name!r}{hint}"
            raise NotFoundError(msg)
        return home

    def _create(self, workspace: str, name: str) -> VolumeView:
        home = self._home(workspace, _checked(name), there=False)
        scratch = home.parent / f".new-{os.urandom(8).hex()}"
        try:
            (scratch / "files").mkdir(parents=True, mode=0o755)
            (scratch / "created").write_text(repr(time.time()))
            (scratch / "id").write_text(new_id("vo"))
            scratch.chmod(0o700)
            scratch.rename(home)
        except OSError as error:
            shutil.rmtree(scratch, ignore_errors=True)
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                msg = f"there is a volume {name!r} already"
                raise AlreadyExistsError(msg) from None
            raise disk_error(error, home) from error
        return _view(home, count=False)


def _checked(name: str) -> str:
    if is_id(check_name(name, "a volume"), "vo"):
        msg = f"{name!r} cannot name a volume: it has the form of an id; give another"
        raise InvalidError(msg)
    return name


def _make_folder(root: Path, names: list[str]) -> None:
    try:
        with folder(root, names, create=True):
            return
    except Error:
        raise
    except OSError as error:
        raise disk_error(error, root) from error


def _id(home: Path) -> str:
    """Its id; a volume that was made before volumes had one gets it now, once."""
    path = home / "id"
    if not path.exists():
        draft = home / f".id-{os.urandom(8).hex()}"
        draft.write_text(new_id("vo"))
        try:
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(draft)
        finally:
            draft.unlink()
    return path.read_text()


def _list(folder: Path) -> list[VolumeView]:
    return [_view(f.parent, count=False) for f in sorted(_each(folder, "files"))]


def _each(folder: Path, entry: str) -> Iterator[Path]:
    """This entry of each volume of a workspace, but of none that is being made or deleted."""
    return (found for found in folder.glob(f"*/{entry}") if is_name(found.parent.name))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:  # deleted or renamed meanwhile
        return ""


def _view(home: Path, *, count: bool) -> VolumeView:
    try:
        created = float((home / "created").read_text())
    except (OSError, ValueError):
        created = home.stat().st_ctime
    if not count:
        return VolumeView(name=home.name, created=created, id=_id(home))
    files = [v for v in _ls(home / "files", [], recursive=True) if v.type == "file"]
    return VolumeView(
        name=home.name, created=created, id=_id(home), bytes=sum(v.bytes for v in files), files=len(files)
    )


def _ls(root: Path, names: list[str], *, recursive: bool) -> list[FileView]:
    descriptor = open_file(root, names, os.O_RDONLY)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISDIR(found.st_mode):
            return [_file_view("/".join(names), found)]
        views = list(_entries(descriptor, "".join(f"{n}/" for n in names), recursive=recursive))
    finally:
        os.close(descriptor)
    return sorted(views, key=lambda v: v.path)


def _entries(descriptor: int, prefix: str, *, recursive: bool) -> Iterator[FileView]:
    with os.scandir(descriptor) as entries:
        found = [(e.name, e.stat(follow_symlinks=False)) for e in entries if _there(e)]
    for name, status in found:
        yield _file_view(prefix + name, status)
        if recursive and stat.S_ISDIR(status.st_mode):
            try:
                below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
            except OSError:  # gone or replaced meanwhile
                continue
            try:
                yield from _entries(below, f"{prefix}{name}/", recursive=True)
            finally:
                os.close(below)


def _there(entry: "os.DirEntry[str]") -> bool:
    try:
        entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _file_view(path: str, status: os.stat_result) -> FileView:
    mode = status.st_mode
    kind: FileKind = _KINDS.get(stat.S_IFMT(mode), "file")
    shown = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    size, executable = (status.st_size, bool(mode & stat.S_IXUSR)) if kind == "file" else (0, False)
    return FileView(path=shown, type=kind, bytes=size, modified=status.st_mtime, executable=executable)


def _open_read(root: Path, names: list[str]) -> BinaryIO:
    descriptor = open_file(root, names, os.O_RDONLY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        msg = f"{'/'.join(names)!r} is not a file"
        raise InvalidError(msg)
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "rb")


def _place(upload: Upload, root: Path, names: list[str], *, force: bool) -> FileView:
    with folder(root, names[:-1], create=True) as parent:
        try:
            if force:
                os.replace(upload.path, names[-1], dst_dir_fd=parent)
            else:
                os.link(upload.path, names[-1], dst_dir_fd=parent)
        except FileExistsError:
            msg = f"there is a file {'/'.join(names)!r} already; send it with force to replace it"
            raise FileThereError(msg) from None
        except (IsADirectoryError, NotADirectoryError) as error:
            msg = f"{'/'.join(names)!r} is a folder; remove it first, or choose another path"
            raise ConflictError(msg) from error
        os.fsync(parent)
        return _file_view("/".join(names), os.stat(names[-1], dir_fd=parent, follow_symlinks=False))


def _remove(root: Path, names: list[str], *, recursive: bool) -> None:
    with folder(root, names[:-1]) as parent:
        try:
            status = os.stat(names[-1], dir_fd=parent, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                os.unlink(names[-1], dir_fd=parent)
            elif recursive:
                shutil.rmtree(names[-1], dir_fd=parent)
            else:
                os.rmdir(names[-1], dir_fd=parent)
        except FileNotFoundError:
            msg = f"no file {'/'.join(names)!r}"
            raise NoFileError(msg) from None
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            msg = f"folder {'/'.join(names)!r} is not empty; remove it with recursive"
            raise ConflictError(msg) from None
