"""Reading the logs: which files, which lines, forwards or the last so many backwards. Reads files only; knows no collector."""

import heapq
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec

from freehold.core.environments import MAIN
from freehold.protocol.schemas import LogLine
from freehold.server.logs.files import log_path, open_parts
from freehold.server.logs.words import LOG_TYPES, LogQuery
from freehold.telemetry.lines import timestamp

_BLOCK = 1024 * 1024
_HEAD = len(b'{"timestamp":"')
_TIME = slice(_HEAD, _HEAD + 27)
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.encode
_FIELDS = frozenset(LogLine.__dataclass_fields__) - {"extra"}

Keep = Callable[[bytes], LogLine | None]


Limits = Mapping[Path, tuple[int, int] | None]  # how far a log is read: inode of a part, and offset; None: not at all


def query(root: Path, which: LogQuery, limits: Limits | None = None) -> Iterator[LogLine]:
    """Lines in the order of their time; those of one instance in the order they were written."""
    keep = keeper(which)
    logs = logs_of(root, which) if limits is None else list(limits)
    each = [_of_log(path, which, keep, limits) for path in logs]
    merged = heapq.merge(*each, key=attrgetter("timestamp"))
    if which.tail is None:
        return merged
    lines = list(merged)
    return iter(lines[max(0, len(lines) - which.tail) :])


def logs_of(root: Path, which: LogQuery) -> list[Path]:
    """The logs that may hold such lines."""
    if which.app is not None:
        return [log_path(root, kind, which.app) for kind in which.types or LOG_TYPES]
    names = [(kind, name) for kind in which.types or LOG_TYPES for name in _names(root / kind)]
    return [root / kind / name for kind, name in names]


def _names(folder: Path) -> list[str]:
    try:
        found = [p.name for p in folder.iterdir()]
    except FileNotFoundError:
        return []
    return sorted({n[: n.rindex(".jsonl") + 6] for n in found if ".jsonl" in n})


def _of_log(path: Path, which: LogQuery, keep: Keep, limits: Limits | None) -> Iterator[LogLine]:
    opened = open_parts(path)
    try:
        pieces = _pieces(opened, which.since, None if limits is None else (limits[path] or (0, 0)))
        if which.tail is None:
            yield from (line for fd, size in pieces for raw in _forwards(fd, size) if (line := keep(raw)) is not None)
        else:
            newest_first = (raw for fd, size in reversed(pieces) for raw in _backwards(fd, size))
            kept = (line for raw in newest_first if (line := keep(raw)) is not None)
            yield from reversed(list(islice(kept, which.tail)))
    finally:
        for fd in opened:
            os.close(fd)


def _pieces(opened: Sequence[int], since: float | None, limit: tuple[int, int] | None) -> list[tuple[int, int]]:
    """What to read, oldest first: descriptors, and how many bytes of each."""
    found: list[tuple[int, int]] = []
    inodes = [os.fstat(fd).st_ino for fd in opened]
    if limit is not None and limit[0] not in inodes:  # it has none yet, or was dropped meanwhile
        return []
    for fd, inode in zip(opened, inodes, strict=True):
        stat = os.fstat(fd)
        last = limit is not None and inode == limit[0]
        if since is None or stat.st_mtime + 1 >= since:  # a clock tick's worth of slack
            found.append((fd, limit[1] if limit is not None and last else stat.st_size))
        if last:
            break
    return found


def _forwards(fd: int, size: int) -> Iterator[bytes]:
    """Whole lines."""
    at, rest = 0, b""
    while at < size:
        block = os.pread(fd, min(_BLOCK, size - at), at)
        if not block:
            return
        at += len(block)
        *lines, rest = (rest + block).split(b"\n")
        yield from lines


def _backwards(fd: int, size: int) -> Iterator[bytes]:
    """Whole lines, the last one first."""
    at, rest, ended = size, b"", False
    while at > 0:
        start = max(0, at - _BLOCK)
        rest = os.pread(fd, at - start, start) + rest
        at = start
        if b"\n" not in rest:
            continue
        rest, *lines = rest.split(b"\n")
        last = lines.pop()
        if ended:
            yield last
        ended = True
        yield from reversed(lines)
    if ended:
        yield rest


def keeper(which: LogQuery) -> Keep:
    """A function that parses a line, and gives None for what is not asked for, as cheaply as it can tell."""
    since = timestamp(which.since) if which.since is not None else b""
    until = timestamp(which.until) if which.until is not None else b"~"
    ids = ("app_id", "instance", "call", "request_id", "level")
    needed = [_encode({n: v})[1:-1] for n in ids if (v := getattr(which, n)) is not None]
    needle = which.search.casefold() if which.search else ""
    plain = needle.encode() if needle.isascii() and _encode(needle)[1:-1] == needle.encode() else b""

    def keep(raw: bytes) -> LogLine | None:
        if not since <= raw[_TIME] <= until:
            return None
        for piece in needed:
            if piece not in raw:
                return None
        if plain and plain not in raw.lower():  # much cheaper than to parse it
            return None
        line = parse(raw)
        return line if line is not None and _asked(line, which, needle) else None

    return keep


def _asked(line: LogLine, which: LogQuery, needle: str) -> bool:
    if which.app is not None and line.app not in (which.app, ""):
        return False
    if (
        which.function is not None
        and line.function.partition(".")[0] != which.function
        and line.function != which.function
    ):
        return False
    for name in ("instance", "call", "request_id", "level"):
        if (value := getattr(which, name)) is not None and getattr(line, name) != value:
            return False
    if which.app_id is not None and line.extra.get("app_id") != which.app_id:
        return False
    if which.workspace is not None and not _in_workspace(line, which):
        return False
    if which.source is not None and (line.stream or "system") != which.source:
        return False
    return not needle or _holds(line, needle)


def _in_workspace(line: LogLine, which: LogQuery) -> bool:
    """Apps of two environments may have one name, and so one log; lines of no app are everybody's."""
    by_id = which.app_id or which.instance or which.call or which.request_id
    return bool(by_id) or not line.app or line.extra.get("workspace", MAIN) == which.workspace


def _holds(line: LogLine, needle: str) -> bool:
    if needle in line.message.casefold():
        return True
    own = {k: v for k, v in line.extra.items() if k not in ("app_id", "workspace")}
    return bool(own) and needle in _encode(own).decode(errors="replace").casefold()


def parse(raw: bytes) -> LogLine | None:
    """A line of a log file; None for what is none."""
    try:
        fields = _decode(raw)
        known: dict[str, Any] = {"level": "info", "logger": "", "service": "", "type": ""}
        known |= {k: fields.pop(k) for k in _FIELDS & fields.keys()}
        return LogLine(**known, extra=fields)
    except (msgspec.DecodeError, TypeError, ValueError, RecursionError):
        return None
