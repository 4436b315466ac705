"""What listings and `info()` of stored objects give, under the names and with the fields that programs know."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from freehold.core.errors import InvalidError


class FileEntryType(enum.IntEnum):
    """What a path of a volume is."""

    UNSPECIFIED = 0
    FILE = 1
    DIRECTORY = 2
    SYMLINK = 3
    FIFO = 4
    SOCKET = 5


@dataclass(frozen=True)
class FileEntry:
    """One path of a volume, relative to its root. `mtime` is seconds since the epoch, `size` bytes."""

    path: str
    type: FileEntryType
    mtime: int
    size: int


@dataclass
class VolumeInfo:
    """`created_by` is not known here: a platform has one owner."""

    name: str | None
    created_at: datetime
    created_by: str | None = None


@dataclass
class SecretInfo:
    """`last_used` and `created_by` are not kept."""

    name: str | None
    environment_name: str
    created_at: datetime
    created_by: str | None = None
    last_used: datetime | None = None


class _Made(Protocol):
    @property
    def created(self) -> float: ...


V = TypeVar("V", bound=_Made)


def moment(epoch_s: float) -> datetime:
    """A time as programs get it: aware, in the local zone."""
    return datetime.fromtimestamp(epoch_s).astimezone()


def newest(views: Iterable[V], max_objects: int | None, created_before: datetime | str | None) -> list[V]:
    """What `objects.list` gives: the newest first, at most so many, made before a time or date."""
    if max_objects is not None and max_objects < 0:
        msg = f"max_objects={max_objects} is below 0"
        raise InvalidError(msg)
    before = None if created_before is None else _epoch(created_before)
    found = [v for v in views if before is None or v.created < before]
    return sorted(found, key=lambda v: v.created, reverse=True)[:max_objects]


def _epoch(given: datetime | str) -> float:
    try:
        return (datetime.fromisoformat(given) if isinstance(given, str) else given).astimezone().timestamp()
    except ValueError:
        msg = f"created_before={given!r} is no date: write 2026-01-31, or 2026-01-31T12:00:00"
        raise InvalidError(msg) from None
