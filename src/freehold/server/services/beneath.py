"""Opening files beneath a folder and nowhere else, whatever the path says and whoever swaps links meanwhile.

Reading follows links that stay beneath (openat2, RESOLVE_BENEATH); where the kernel lacks it, and in all writing, no link is
followed at all.
"""

import contextlib
import ctypes
import errno
import os
import struct
from collections.abc import Generator
from pathlib import Path

from freehold.core.errors import InvalidError, NoFileError

_OPENAT2 = 437  # the same number on every architecture
_RESOLVE_BENEATH, _RESOLVE_NO_MAGICLINKS = 0x08, 0x02
_NAME_MAX, _DEPTH_MAX = 255, 64
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_libc = ctypes.CDLL(None, use_errno=True)


def parts_of(path: str) -> list[str]:
    """The names along a relative path. Raises InvalidError for one that could mean a place outside."""
    names = [n for n in path.split("/") if n not in ("", ".")]
    if path.startswith("/") or ".." in names or "\\" in path or "\0" in path:
        msg = f"path {path[:100]!r} is not allowed: give one below the volume's root, with / between names and without .. or \\"
        raise InvalidError(msg)
    if len(names) > _DEPTH_MAX or any(len(os.fsencode(n)) > _NAME_MAX for n in names):
        msg = f"path {path[:100]!r} is too long: at most {_DEPTH_MAX} names of {_NAME_MAX} bytes each"
        raise InvalidError(msg)
    if any(not c.isprintable() for c in path):
        msg = f"path {path[:100]!r} has a character that cannot be printed; choose another name"
        raise InvalidError(msg)
    return names


@contextlib.contextmanager
def folder(root: Path, names: list[str], *, create: bool = False) -> Generator[int]:
    """A descriptor of the folder at `names` below `root`, opened step by step without following links."""
    descriptor = os.open(root, _DIRECTORY)
    try:
        for name in names:
            descriptor = _step(descriptor, name, create=create)
        yield descriptor
    finally:
        os.close(descriptor)


def _step(descriptor: int, name: str, *, create: bool) -> int:
    try:
        try:
            below = os.open(name, _DIRECTORY, dir_fd=descriptor)
        except FileNotFoundError:
            if not create:
                raise
            with contextlib.suppress(FileExistsError):  # an upload beside this one was quicker
                os.mkdir(name, 0o755, dir_fd=descriptor)
            below = os.open(name, _DIRECTORY, dir_fd=descriptor)
    except OSError as error:
        raise _path_error(error, name) from error
    os.close(descriptor)
    return below


def open_file(root: Path, names: list[str], flags: int) -> int:
    """A descriptor of what lies at `names` below `root`."""
    flags |= os.O_CLOEXEC | os.O_NONBLOCK
    with folder(root, []) as top:
        try:
            return _openat2(top, "/".join(names) or ".", flags)
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EPERM):
                raise _path_error(error, "/".join(names)) from error
    with folder(root, names[:-1]) as parent:
        try:
            return os.open(names[-1] if names else ".", flags | os.O_NOFOLLOW, dir_fd=parent)
        except OSError as error:
            raise _path_error(error, "/".join(names)) from error


def _openat2(directory: int, path: str, flags: int) -> int:
    how = struct.pack("QQQ", flags, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    number = errno.EAGAIN
    for _ in range(10):
        descriptor: int = _libc.syscall(_OPENAT2, directory, os.fsencode(path), how, len(how))
        if descriptor >= 0:
            return descriptor
        number = ctypes.get_errno()
        if number != errno.EAGAIN:  # something was renamed meanwhile: look again
            break
    raise OSError(number, os.strerror(number))


def _path_error(error: OSError, path: str) -> Exception:
    if error.errno == errno.ENOENT:
        return NoFileError(f"no file {path!r}")
    if error.errno in (errno.ELOOP, errno.EXDEV):
        return InvalidError(
            f"{path!r} leads through a link out of the volume, or through a link where none is followed"
        )
    if error.errno == errno.ENOTDIR:
        return InvalidError(f"{path!r} lies below something that is not a folder")
    if error.errno == errno.ENAMETOOLONG:
        return InvalidError(f"path {path[:100]!r} is too long")
    return error
