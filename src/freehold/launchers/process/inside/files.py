"""Files of a sandbox, worked on from inside it, so that no path or link leads out. Runs in a child of the warden.

Data goes over stdin and stdout; a failure is one JSON line on stderr, and exit code 1.
"""

import ctypes
import errno
import json
import os
import select
import shutil
import stat
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

_CHUNK = 1 << 20
_FAILED = 1
_INOTIFY = struct.Struct("iIII")
_ACCESS, _MODIFY, _ATTRIB, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE, _SELF = 1, 2, 4, 0x40, 0x80, 0x100, 0x200, 0x400
_EVENTS = _ACCESS | _MODIFY | _ATTRIB | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _SELF
_IS_DIR = 0x40000000


def run(name: str, arguments: dict[str, Any]) -> int:
    """Do one thing; the exit code."""
    try:
        _TOOLS[name](**arguments)
    except OSError as error:
        fault = {"error": errno.errorcode.get(error.errno or 0, "EIO"), "message": error.strerror or str(error)}
        os.write(2, json.dumps(fault).encode())
        return _FAILED
    return 0


def read(path: str) -> None:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (no pathlib: this starts for every call)
        while chunk := file.read(_CHUNK):
            _write(1, chunk)


def write(path: str) -> None:
    folder = os.path.dirname(path)  # noqa: PTH120 (as above)
    try:
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103 (as above)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    while chunk := os.read(0, _CHUNK):
        _write(target, chunk)
    os.close(target)


def entries(path: str) -> None:
    """Those of a folder, by name."""
    found = [describe(os.path.join(path, name)) for name in sorted(os.listdir(path))]  # noqa: PTH118, PTH208 (as above)
    _write(1, json.dumps(found).encode())


def status(path: str) -> None:
    _write(1, json.dumps(describe(path)).encode())


def describe(path: str) -> dict[str, Any]:
    found = os.lstat(path)
    kind = "directory" if stat.S_ISDIR(found.st_mode) else "symlink" if stat.S_ISLNK(found.st_mode) else "file"
    return {
        "name": os.path.basename(path) or "/",  # noqa: PTH119 (as above)
        "path": path,
        "type": kind,
        "size": found.st_size,
        "mode": stat.S_IMODE(found.st_mode),
        "permissions": stat.filemode(found.st_mode),
        "owner": _named("/etc/passwd", found.st_uid),
        "group": _named("/etc/group", found.st_gid),
        "modified_time": found.st_mtime,
        "symlink_target": os.readlink(path) if kind == "symlink" else None,  # noqa: PTH115 (as above)
    }


def make(path: str, parents: bool) -> None:
    if parents:
        os.makedirs(path, exist_ok=True)  # noqa: PTH103 (as above)
    else:
        os.mkdir(path)  # noqa: PTH102 (as above)


def remove(path: str, recursive: bool) -> None:
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        os.unlink(path)  # noqa: PTH108 (as above)
    elif recursive:
        shutil.rmtree(path)
    else:
        os.rmdir(path)  # noqa: PTH106 (as above)


def watch(path: str, recursive: bool, timeout_s: float | None) -> None:
    """One JSON line an event, until the time is over or stdin ends."""
    path = os.path.realpath(path)
    os.stat(path)  # noqa: PTH116 (a path that is not there is said)
    watcher = _Watcher(recursive=recursive)
    watcher.add(path)
    _write(1, b"{}\n")  # from here on nothing is missed
    until = None if timeout_s is None else time.monotonic() + timeout_s
    poll = select.poll()
    poll.register(watcher.fd, select.POLLIN)
    poll.register(0, select.POLLIN | select.POLLHUP)
    while until is None or time.monotonic() < until:
        left = None if until is None else max(1, int((until - time.monotonic()) * 1000))
        ready = [fd for fd, _ in poll.poll(left)]
        if 0 in ready and not os.read(0, _CHUNK):
            return
        if watcher.fd in ready:
            for kind, paths in watcher.events():
                _write(1, json.dumps({"type": kind, "paths": paths}).encode() + b"\n")


class _Watcher:
    """inotify, folder by folder."""

    def __init__(self, *, recursive: bool) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._recursive = recursive
        self._paths: dict[int, str] = {}

    def add(self, path: str) -> None:
        number: int = self._libc.inotify_add_watch(self.fd, os.fsencode(path), _EVENTS)
        if number < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        self._paths[number] = path
        if self._recursive and os.path.isdir(path):  # noqa: PTH112 (as above)
            for entry in os.scandir(path):
                if entry.is_dir(follow_symlinks=False):
                    self.add(entry.path)

    def events(self) -> Iterator[tuple[str, list[str]]]:
        data, at, moved = os.read(self.fd, _CHUNK), 0, dict[int, str]()
        while at < len(data):
            number, mask, cookie, size = _INOTIFY.unpack_from(data, at)
            name = data[at + _INOTIFY.size : at + _INOTIFY.size + size].rstrip(b"\0")
            at += _INOTIFY.size + size
            folder = self._paths.get(number)
            if folder is None:
                continue
            path = os.path.join(folder, os.fsdecode(name)) if name else folder  # noqa: PTH118 (as above)
            if mask & (_CREATE | _MOVED_TO) and mask & _IS_DIR and self._recursive:
                self.add(path)
            if mask & _MOVED_FROM:
                moved[cookie] = path
            elif mask & _MOVED_TO:
                yield "Modify", [p for p in (moved.pop(cookie, ""), path) if p]
            else:
                yield _kind(mask), [path]
        for path in moved.values():
            yield "Modify", [path]


def _kind(mask: int) -> str:
    if mask & _CREATE:
        return "Create"
    if mask & (_DELETE | _SELF):
        return "Remove"
    return "Modify" if mask & (_MODIFY | _ATTRIB) else "Access" if mask & _ACCESS else "Unknown"


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _named(table: str, number: int) -> str:
    try:
        with open(table) as file:  # noqa: PTH123 (as above)
            return next((f[0] for f in (line.split(":") for line in file) if f[2:3] == [str(number)]), str(number))
    except OSError:
        return str(number)


_TOOLS: dict[str, Callable[..., None]] = {
    "read": read, "write": write, "list": entries, "stat": status, "make": make, "remove": remove, "watch": watch,
}  # fmt: skip
