"""What listings and `info()` of stored objects give, under the names and with the fields that programs know."""

import enum
from dataclasses import dataclass
from datetime import datetime


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


def moment(epoch_s: float) -> datetime:
    """A time as programs get it: aware, in the local zone."""
    return datetime.fromtimestamp(epoch_s).astimezone()
