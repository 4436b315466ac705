"""The JSON-lines files of the logs, `<type>/<app>.jsonl`: where they lie, and how far each instance was collected."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from freehold.telemetry.files import parts

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_COLLECTED = re.compile(rb'"instance":"([^"\\]+)".*?"seq":(\d+)[,}]')
_BLOCK = 4 * 1024 * 1024
_LONGEST_LINE = 8 * 1024 * 1024


def log_path(root: Path, kind: str, app: str) -> Path:
    """Where lines of an app go; a name that is no plain file name is made one."""
    name = _UNSAFE.sub("_", app)[:200].lstrip(".") or "_"
    return root / kind / f"{name}.jsonl"


def open_parts(path: Path) -> list[int]:
    """Descriptors of the log's files, oldest first, of one moment: a rotation between two of them is noticed."""
    while True:
        opened = [fd for part in parts(path) if (fd := open_part(part)) is not None]
        if [os.fstat(fd).st_ino for fd in opened] == _inodes(path):
            return opened
        for fd in opened:
            os.close(fd)


def open_part(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def _inodes(path: Path) -> list[int]:
    found: list[int] = []
    for part in parts(path):
        with contextlib.suppress(FileNotFoundError):
            found.append(part.stat().st_ino)
    return found


def mend(path: Path) -> None:
    """Cut off a last line that was not written to its end."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        size = os.fstat(fd).st_size
        tail = os.pread(fd, _LONGEST_LINE, max(0, size - _LONGEST_LINE))
        if tail and not tail.endswith(b"\n"):
            os.ftruncate(fd, size - len(tail) + tail.rfind(b"\n") + 1)
    finally:
        os.close(fd)


def collected(path: Path, inode: int | None, size: int) -> dict[str, int]:
    """The last offset of each instance that the log at `path` tells of, after byte `size` of the part with this inode."""
    seen: dict[str, int] = {}
    for part in _since(path, inode):
        begin = size if part.stat().st_ino == inode else 0
        for block in _blocks(part, begin):
            seen |= {m[1].decode(): int(m[2]) for m in _COLLECTED.finditer(block)}
    return seen


def _since(path: Path, inode: int | None) -> list[Path]:
    files = parts(path)
    for i, part in enumerate(files):
        if part.stat().st_ino == inode:
            return files[i:]
    return files


def _blocks(path: Path, begin: int) -> Iterator[bytes]:
    """Whole lines, many at a time."""
    with path.open("rb") as file:
        if begin <= path.stat().st_size:
            file.seek(begin)
        rest = b""
        while block := file.read(_BLOCK):
            rest += block
            cut = rest.rfind(b"\n") + 1
            yield rest[:cut]
            rest = rest[cut:]
