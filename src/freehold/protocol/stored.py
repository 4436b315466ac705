"""What dicts and queues are asked over HTTP. Keys and values are bytes that the server never reads; bodies with bytes are msgpack.

Times are seconds since the epoch, durations seconds, sizes bytes.
"""

from dataclasses import dataclass

from msgspec import Struct


@dataclass(frozen=True, kw_only=True)
class NamedRequest:
    """Make a dict or a queue; without a name one that is ephemeral: its client tells every now and then that it lives."""

    name: str = ""
    allow_existing: bool = False


@dataclass(frozen=True, kw_only=True)
class DictView:
    id: str
    name: str | None  # None: ephemeral
    created: float


@dataclass(frozen=True, kw_only=True)
class QueueView:
    id: str
    name: str | None  # None: ephemeral
    created: float
    partitions: int = 0  # those that hold items
    items: int = 0  # of all partitions


@dataclass(frozen=True, kw_only=True)
class Count:
    count: int


@dataclass(frozen=True, kw_only=True)
class StagedValue:
    """A large value that was sent by itself; `file` stands for it in an update, within the hour."""

    file: str


class Packed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of every msgpack body: a map."""


class DictKey(Packed, frozen=True, kw_only=True):
    key: bytes


class DictValue(Packed, frozen=True, kw_only=True):
    """A value, or where a large one lies: `GET /v1/dicts/{dict}/values/{file}`, for some minutes after it was replaced too."""

    value: bytes | None = None
    file: str | None = None


class DictEntry(DictValue, frozen=True, kw_only=True):
    key: bytes


class DictFound(Packed, frozen=True, kw_only=True):
    entry: DictValue | None = None  # None: no such key


class DictUpdate(Packed, frozen=True, kw_only=True):
    """All of these or, after an error, none; with `skip_if_exists` those whose key is not there."""

    entries: list[DictEntry]
    skip_if_exists: bool = False


class DictUpdated(Packed, frozen=True, kw_only=True):
    created: bool = True  # False: a key was there, and kept its value


class DictRange(Packed, frozen=True, kw_only=True):
    """The entries after a key, in the order of the keys' bytes."""

    after: bytes = b""
    values: bool = True


class DictPage(Packed, frozen=True, kw_only=True):
    entries: list[DictEntry]
    more: bool = False


class QueuePut(Packed, frozen=True, kw_only=True):
    """All of these at the partition's end, or none. `wait_s`: for room."""

    items: list[bytes]
    partition: bytes = b""
    ttl_s: float = 24 * 3600.0  # of the partition, from now on
    wait_s: float = 0.0


class QueueTaken(Packed, frozen=True, kw_only=True):
    accepted: bool = True  # False: there is no room for all of them


class QueueGet(Packed, frozen=True, kw_only=True):
    """Remove up to `count` items from the partition's front. `wait_s`: for the first one."""

    partition: bytes = b""
    count: int = 1
    wait_s: float = 0.0


class QueueItems(Packed, frozen=True, kw_only=True):
    items: list[bytes]
    more: bool = False  # the partition has others, and the answer would have been too large


class QueueScan(Packed, frozen=True, kw_only=True):
    """Look at the items after this number, and leave them there. `wait_s`: for the first one."""

    partition: bytes = b""
    after: int = 0
    wait_s: float = 0.0


class QueueScanned(Packed, frozen=True, kw_only=True):
    items: list[tuple[int, bytes]]  # each with its number


class QueuePart(Packed, frozen=True, kw_only=True):
    """One partition, or all."""

    partition: bytes = b""
    all: bool = False
