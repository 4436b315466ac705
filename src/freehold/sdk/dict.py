"""Dict: keys and values that functions and programs share, kept durably by the server until they are deleted."""

import io
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from functools import partial
from typing import Any, ClassVar, NoReturn

import msgspec

from freehold.core.errors import DeserializationError, NotFoundError, RequestSizeError
from freehold.core.limits import (
    DICT_INLINE_BYTES,
    DICT_KEY_BYTES,
    DICT_UPDATE_ENTRIES,
    DICT_VALUE_BYTES,
    REQUEST_BYTES,
)
from freehold.protocol.payload import decode_payload, encode_payload
from freehold.protocol.stored import (
    Count,
    DictEntry,
    DictFound,
    DictKey,
    DictPage,
    DictRange,
    DictUpdate,
    DictUpdated,
    DictValue,
    StagedValue,
)
from freehold.sdk.ephemeral import Ephemeral
from freehold.sdk.faces import blocking, both, both_items, drive, drive_items, opens_static
from freehold.sdk.named import Named, NamedObjects, Noun
from freehold.sdk.serialization import dump_key, dumps, load_key, loads
from freehold.sdk.types import DictInfo

_MISSING: Any = object()
_SHOWN = 100


class Dict(Named):
    """Made by `from_name`, `ephemeral` or `from_id`. `d[key]`, `d[key] = value`, `del d[key]` and `key in d` block; methods have `.aio`."""

    _noun = Noun(one="dict", title="Dict")
    objects: ClassVar["NamedObjects[Dict]"]

    @staticmethod
    def from_id(dict_id: str, client: object = None) -> "Dict":
        """The Dict of this `object_id`, an ephemeral one too; nothing is asked of the server until it is used."""
        del client  # one server a process
        return Dict._from_id(dict_id)

    @opens_static
    @staticmethod
    def ephemeral(*, client: object = None, environment_name: str | None = None) -> "Ephemeral[Dict]":
        """`with Dict.ephemeral() as d:`, or `async with`: a Dict without a name that is deleted at the end."""
        del client  # as above
        return Dict._ephemeral(environment_name)

    @both
    async def info(self) -> DictInfo:
        """Its name, and when it was made."""
        created_at = await self._handle.created_at()
        return DictInfo(name=self._handle.name, created_at=created_at)

    # ---- entries

    @both
    async def get(self, key: Any, default: Any = None) -> Any:
        """The value of a key, or `default`."""
        return await self._get(key, default)

    @both
    async def contains(self, key: Any) -> bool:
        """Whether the key is there."""
        return await self._contains(key)

    @both
    async def put(self, key: Any, value: Any, *, skip_if_exists: bool = False) -> bool:
        """Set the value of a key; with `skip_if_exists` only if there is none, else False. Durable when this returns."""
        return await self._put(key, value, skip_if_exists=skip_if_exists)

    @both
    async def pop(self, key: Any, default: Any = _MISSING) -> Any:
        """Remove a key and return its value; without a `default`, KeyError when it is not there."""
        return await self._pop(key, default)

    @both
    async def update(self, other: Mapping[Any, Any] | None = None, /, **kwargs: Any) -> None:
        """Set all of these, or after an error none of them."""
        contents = ({k: other[k] for k in other.keys()} if other else {}) | kwargs  # noqa: SIM118 (all that a mapping must have)
        if len(contents) > DICT_UPDATE_ENTRIES:
            raise RequestSizeError(
                f"Dict.update of {len(contents):,} entries is over the limit of {DICT_UPDATE_ENTRIES:,}: update in several calls"
            )
        if contents:
            await self._update([await self._entry(k, v) for k, v in contents.items()], "update")

    @both
    async def len(self) -> int:
        """How many keys it has."""
        data = await self._handle.request("GET", f"{await self._handle.path()}/len", again=True)
        return msgspec.json.decode(data, type=Count).count

    @both
    async def clear(self) -> None:
        """Remove all entries."""
        await self._handle.tell("clear", again=True)

    @both_items
    async def keys(self) -> AsyncGenerator[Any, None]:
        """All keys, in no order of note."""
        async for entry in self._entries(values=False):
            yield self._key(entry.key)

    @both_items
    async def values(self) -> AsyncGenerator[Any, None]:
        """All values."""
        async for entry in self._entries(values=True):
            yield await self._value(entry, _shown_key(entry.key))

    @both_items
    async def items(self) -> AsyncGenerator[tuple[Any, Any], None]:
        """All keys with their values."""
        async for entry in self._entries(values=True):
            key = self._key(entry.key)
            yield key, await self._value(entry, repr(key))

    # ---- as Python spells it

    def __getitem__(self, key: Any) -> Any:
        value = drive(self._get(key, _MISSING))
        if value is _MISSING:
            self._absent(key)
        return value

    def __setitem__(self, key: Any, value: Any) -> None:
        drive(self._put(key, value))

    def __delitem__(self, key: Any) -> None:
        drive(self._pop(key, _MISSING))

    def __contains__(self, key: Any) -> bool:
        return drive(self._contains(key))

    # ---- how

    async def _get(self, key: Any, default: Any) -> Any:
        found = await self._handle.ask("get", DictKey(key=_key_bytes(key)), DictFound, again=True)
        if found.entry is None:
            return default
        try:
            return await self._value(found.entry, repr(key))
        except NotFoundError:  # a large one that was replaced ten minutes ago: the new one
            return await self._get(key, default)

    async def _contains(self, key: Any) -> bool:
        found = await self._handle.ask("contains", DictKey(key=_key_bytes(key)), DictFound, again=True)
        return found.entry is not None

    async def _put(self, key: Any, value: Any, *, skip_if_exists: bool = False) -> bool:
        return await self._update([await self._entry(key, value)], "put", skip_if_exists=skip_if_exists)

    async def _pop(self, key: Any, default: Any) -> Any:
        found = await self._handle.ask("pop", DictKey(key=_key_bytes(key)), DictFound)
        if found.entry is None:
            return self._absent(key) if default is _MISSING else default
        return await self._value(found.entry, repr(key))

    async def _update(self, entries: list[DictEntry], verb: str, *, skip_if_exists: bool = False) -> bool:
        size = sum(len(e.key) + len(e.value or b"") for e in entries)
        if size > REQUEST_BYTES:
            raise RequestSizeError(
                f"Dict.{verb} of {size:,} bytes is over the limit of {REQUEST_BYTES:,}: update in several calls"
            )
        update = DictUpdate(entries=entries, skip_if_exists=skip_if_exists)
        repeatable = not skip_if_exists and all(e.file is None for e in entries)
        return (await self._handle.ask("update", update, DictUpdated, again=repeatable)).created

    async def _entry(self, key: Any, value: Any) -> DictEntry:
        packed = _key_bytes(key)
        data = encode_payload(dumps(value, name=f"the value of {_short(key)}"))
        if len(data) > DICT_VALUE_BYTES:
            raise RequestSizeError(
                f"the value of {_short(key)} has {len(data):,} bytes when pickled, and a Dict's value up to {DICT_VALUE_BYTES:,}: "
                "put it into a Volume as a file"
            )
        if len(data) <= DICT_INLINE_BYTES:
            return DictEntry(key=packed, value=data)
        path = f"{await self._handle.path()}/values"
        staged = await blocking(self._handle.api.post_bytes, path, io.BytesIO(data), len(data), StagedValue)
        return DictEntry(key=packed, file=staged.file)

    async def _entries(self, *, values: bool) -> AsyncGenerator[DictEntry, None]:
        after, more = b"", True
        while more:
            page = await self._handle.ask("items", DictRange(after=after, values=values), DictPage, again=True)
            for entry in page.entries:
                yield entry
                after = entry.key
            more = page.more

    async def _value(self, found: DictValue, key: str) -> Any:
        data = found.value
        if data is None:
            path = f"{await self._handle.path()}/values/{found.file}"
            data = await blocking(lambda: b"".join(self._handle.api.download(path)))
        try:
            return loads(decode_payload(data))
        except (DeserializationError, msgspec.DecodeError) as error:
            raise DeserializationError(f"the value of {key} in {self._handle.shown} cannot be read: {error}") from error

    def _key(self, data: bytes) -> Any:
        try:
            return load_key(data)
        except DeserializationError as error:
            raise DeserializationError(f"a key of {self._handle.shown} cannot be read: {error}") from error

    def _absent(self, key: Any) -> NoReturn:
        raise KeyError(f"{key} not in {self._handle.shown}")


Dict.objects = NamedObjects(Dict)


def unread_items(one: Dict) -> Generator[tuple[Callable[[], Any], Callable[[], Any]], None, None]:
    """Keys and values, each to be read when it is called for, so that one that cannot be read hides no other."""
    for entry in drive_items(one._entries(values=True)):
        yield partial(one._key, entry.key), partial(_read, one, entry)


def _read(one: Dict, entry: DictEntry) -> Any:
    return drive(one._value(entry, _shown_key(entry.key)))


def _key_bytes(key: Any) -> bytes:
    data = dump_key(key)
    if len(data) > DICT_KEY_BYTES:
        raise RequestSizeError(
            f"Dict key too big: {_short(key)} has {len(data):,} bytes when pickled, and a key up to {DICT_KEY_BYTES:,}: "
            "take a digest of it for the key"
        )
    return data


def _short(key: Any) -> str:
    text = repr(key)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _shown_key(data: bytes) -> str:
    try:
        return repr(load_key(data))
    except DeserializationError:
        return "a key that cannot be read"
