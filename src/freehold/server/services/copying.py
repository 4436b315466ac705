"""Copying within a volume, as `cp` does: made beside it first, and put in its place whole. No link is followed out of it."""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from freehold.core.errors import ConflictError, Error, InvalidError, NoFileError
from freehold.server.services.beneath import folder, open_file, parts_of
from freehold.server.services.uploads import disk_error

_PIECE_BYTES = 64 * 1024 * 1024
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BY_HAND = (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)


def copy(root: Path, sources: Sequence[str], target: str, *, recursive: bool) -> None:
    """Copy each source below `root` to `target`, or into it when that is a folder."""
    if not sources:
        msg = "there is nothing to copy: give at least one source"
        raise InvalidError(msg)
    try:
        _copy(root, sources, target, recursive=recursive)
    except Error:
        raise
    except OSError as error:
        raise disk_error(error, root.parent) from error


def _copy(root: Path, sources: Sequence[str], target: str, *, recursive: bool) -> None:
    names = parts_of(target.strip("/"))
    into = target.endswith("/") or not names or _is_folder(root, names)
    if len(sources) > 1 and not into:
        msg = (
            f"{len(sources)} sources cannot all be copied to {target!r}, which is no folder: end it with / to make one"
        )
        raise InvalidError(msg)
    for source in sources:
        path = parts_of(source.strip("/"))
        _one(root, path, [*names, path[-1]] if into and path else names, recursive=recursive)


def _one(root: Path, source: list[str], target: list[str], *, recursive: bool) -> None:
    shown, there = "/".join(source) or "/", "/".join(target) or "/"
    descriptor = open_file(root, source, os.O_RDONLY)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            if not recursive:
                msg = f"{shown!r} is a folder: copy it with recursive (-r)"
                raise InvalidError(msg)
            if target[: len(source)] == source:
                msg = f"folder {shown!r} cannot be copied into itself, as {there!r}"
                raise InvalidError(msg)
        elif source == target:
            msg = f"{shown!r} cannot be copied onto itself"
            raise InvalidError(msg)
        with _scratch(root) as scratch:
            _make(descriptor, scratch, "copy", shown)
            with folder(root, target[:-1], create=True) as parent:
                _place(scratch, "copy", parent, target[-1], there)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _scratch(root: Path):  # noqa: ANN202 (a descriptor of a folder beside the volume's files, gone at the end)
    path = root.parent / "uploads" / f"copy-{os.urandom(12).hex()}"
    path.mkdir(parents=True, mode=0o700)
    descriptor = os.open(path, _FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
        shutil.rmtree(path, ignore_errors=True)


def _make(source: int, parent: int, name: str, shown: str) -> None:
    """Make a copy of what `source` is open on, as `name` in the folder `parent`."""
    mode = os.fstat(source).st_mode
    if stat.S_ISREG(mode):
        _make_file(source, parent, name, stat.S_IMODE(mode))
    elif stat.S_ISDIR(mode):
        os.mkdir(name, 0o755, dir_fd=parent)
        made = os.open(name, _FOLDER, dir_fd=parent)
        try:
            for entry in os.listdir(source):
                _make_entry(source, made, entry, f"{shown.rstrip('/')}/{entry}")
            os.fsync(made)
        finally:
            os.close(made)
    else:
        msg = f"{shown!r} is neither a file nor a folder nor a link, and cannot be copied"
        raise InvalidError(msg)


def _make_entry(source: int, made: int, entry: str, shown: str) -> None:
    try:
        status = os.stat(entry, dir_fd=source, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(entry, dir_fd=source), entry, dir_fd=made)
            return
        below = os.open(entry, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=source)
    except FileNotFoundError:  # gone meanwhile
        return
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # it became a link meanwhile, or is a socket
            msg = f"{shown!r} is neither a file nor a folder nor a link, and cannot be copied"
            raise InvalidError(msg) from error
        raise
    try:
        _make(below, made, entry, shown)
    finally:
        os.close(below)


def _make_file(source: int, parent: int, name: str, mode: int) -> None:
    made = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode | 0o600, dir_fd=parent)
    try:
        _copy_bytes(source, made)
        os.fsync(made)
    finally:
        os.close(made)


def _copy_bytes(source: int, made: int) -> None:
    """By the kernel, which shares the blocks where the file system can; else through memory."""
    at = 0
    while True:
        try:
            count = os.copy_file_range(source, made, _PIECE_BYTES, at, at)
        except OSError as error:
            if error.errno not in _BY_HAND:
                raise
            count = os.pwrite(made, os.pread(source, 1 << 20, at), at)
        if count == 0:
            return
        at += count


def _place(scratch: int, name: str, parent: int, target: str, shown: str) -> None:
    """Move what was made to its place; a folder that is there takes the entries in, each replacing one of its name."""
    made = os.stat(name, dir_fd=scratch, follow_symlinks=False)
    try:
        there = os.stat(target, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        there = None
    if there is not None and stat.S_ISDIR(there.st_mode) != stat.S_ISDIR(made.st_mode):
        what = ("folder", "file") if stat.S_ISDIR(made.st_mode) else ("file", "folder")
        msg = f"a {what[0]} cannot be copied over {shown!r}, which is a {what[1]}: remove that first, or choose another name"
        raise ConflictError(msg)
    if there is None or not stat.S_ISDIR(made.st_mode):
        os.rename(name, target, src_dir_fd=scratch, dst_dir_fd=parent)
        os.fsync(parent)
        return
    source, into = os.open(name, _FOLDER, dir_fd=scratch), os.open(target, _FOLDER, dir_fd=parent)
    try:
        for entry in os.listdir(source):  # noqa: PTH208 (a descriptor)
            _place(source, entry, into, entry, f"{shown}/{entry}")
    finally:
        os.close(source)
        os.close(into)


def _is_folder(root: Path, names: list[str]) -> bool:
    try:
        descriptor = open_file(root, names, os.O_RDONLY)
    except NoFileError:
        return False
    try:
        return stat.S_ISDIR(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)
