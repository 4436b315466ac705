"""Dicts: keys and values as bytes, durable. A write is committed before it is answered."""

import asyncio
from collections.abc import AsyncIterable, Sequence
from typing import BinaryIO

from freehold.core.clock import Clock, SystemClock
from freehold.core.errors import DataLossError, Error, InvalidError, RequestSizeError
from freehold.core.limits import DICT_INLINE_BYTES, DICT_KEY_BYTES, DICT_UPDATE_ENTRIES
from freehold.protocol.stored import (
    Count,
    DictEntry,
    DictPage,
    DictRange,
    DictUpdate,
    DictValue,
    DictView,
    NamedRequest,
)
from freehold.server.services.dict_files import DictFiles
from freehold.server.services.named import DICT, Named
from freehold.server.store import writes
from freehold.server.store.contract import Store, Transaction
from freehold.server.store.rows import DictEntryRow, DictRow

_PAGE_KEYS, _PAGE_VALUES = 500, 32  # entries in an answer: at most 32 MiB of keys, 10 MiB with values
_STEP = 2_000  # entries that are deleted at once


class Dicts:
    """The dicts of every workspace."""

    def __init__(self, store: Store, files: DictFiles, clock: Clock | None = None) -> None:
        self._store, self._files = store, files
        self._named = Named(DICT, DictRow, store=store, clock=clock or SystemClock())

    async def open(self) -> None:
        known = await self._store.read("files_of_dicts", {})
        await asyncio.to_thread(self._files.open, [(row[0], row[1]) for row in known])
        await self._named.open()

    # ---- dicts

    async def create(self, workspace: str, request: NamedRequest) -> DictView:
        return _view(await self._named.create(workspace, request.name, allow_existing=request.allow_existing))

    async def list(
        self, workspace: str, *, before: float | None = None, limit: int | None = None
    ) -> Sequence[DictView]:
        return [_view(row) for row in await self._named.list(workspace, before=before, limit=limit)]

    async def get(self, workspace: str, ref: str) -> DictView:
        return _view(await self._named.find(workspace, ref))

    async def beat(self, workspace: str, ref: str) -> None:
        await self._named.beat(workspace, ref)

    async def delete(self, workspace: str, ref: str) -> None:
        """From its first step on nobody finds it; a crash later leaves the rest to `sweep`."""
        await self._drain((await self._named.end(workspace, ref)).id)

    async def delete_all(self, workspace: str) -> None:
        """Delete all dicts of a workspace."""
        for ref in await self._named.everything(workspace):
            await self.delete(workspace, ref)

    async def sweep(self) -> None:
        """End what is ephemeral and left, what was being deleted when the server died, and files that nobody needs."""
        for dict_id in await self._named.expired():
            await self._named.forget(dict_id, end=True)
            await self._drain(dict_id)
        await asyncio.to_thread(self._files.sweep)

    # ---- entries

    async def value(self, workspace: str, ref: str, key: bytes) -> DictValue | None:
        """The value of a key; None when it is not there."""
        dict_id = await self._named.id_of(workspace, ref)
        rows = await self._store.read("dict_entry", {"workspace": workspace, "dict_id": dict_id, "key": key})
        if not rows:
            raise self._named.gone(dict_id)
        size, file, value = rows[0]
        return None if size is None else DictValue(value=value, file=file)

    async def update(self, workspace: str, ref: str, update: DictUpdate) -> bool:
        """Put entries, all or none; False when a key was there and `skip_if_exists` kept its value."""
        dict_id = await self._named.id_of(workspace, ref)
        _check(update.entries)
        rows = [DictEntryRow(dict_id, e.key, len(e.value or b""), e.file, e.value) for e in update.entries]
        sent = [row.file for row in rows if row.file is not None]
        self._files.claim(dict_id, sent)

        def step(tx: Transaction) -> tuple[bool, set[str]]:
            self._named.require(tx, workspace, dict_id)
            before = _files(tx, dict_id)
            changed = tx.write(writes.put_dict_entries(rows, replace=not update.skip_if_exists))
            after = _files(tx, dict_id) if before or sent else set[str]()
            return changed >= len(rows), (before | set(sent)) - after

        try:
            created, gone = await self._store.transact(step)
        except Error as error:
            if not isinstance(error, DataLossError):  # then nobody knows whether entries name them: the next start does
                self._files.bury(dict_id, sent)
            raise
        self._files.bury(dict_id, gone)
        return created

    async def pop(self, workspace: str, ref: str, key: bytes) -> DictValue | None:
        """Remove a key and return its value; None when it was not there."""
        dict_id = await self._named.id_of(workspace, ref)

        def step(tx: Transaction) -> DictValue | None:
            rows = tx.read("dict_entry", {"workspace": workspace, "dict_id": dict_id, "key": key})
            if not rows:
                raise self._named.gone(dict_id)
            size, file, value = rows[0]
            if size is None:
                return None
            tx.write(writes.delete_dict_entry(dict_id, key))
            return DictValue(value=value, file=file)

        found = await self._store.transact(step)
        if found is not None and found.file is not None:
            self._files.bury(dict_id, [found.file])
        return found

    async def length(self, workspace: str, ref: str) -> Count:
        dict_id = (await self._named.find(workspace, ref)).id
        return Count(count=(await self._store.read("dict_length", {"dict_id": dict_id}))[0][0])

    async def page(self, workspace: str, ref: str, which: DictRange) -> DictPage:
        """Entries after a key; a walk along them sees what stays there all the while, and each key once."""
        dict_id = (await self._named.find(workspace, ref)).id
        limit = _PAGE_VALUES if which.values else _PAGE_KEYS
        query = "dict_entries" if which.values else "dict_keys"
        rows = await self._store.read(query, {"dict_id": dict_id, "after": which.after, "limit": limit})
        entries = [
            DictEntry(key=row.key, value=row.value, file=row.file) if which.values else DictEntry(key=row.key)
            for row in (DictEntryRow(*row) for row in rows)
        ]
        return DictPage(entries=entries, more=len(rows) == limit)

    async def clear(self, workspace: str, ref: str) -> None:
        """Remove what is there now; in steps, between which others see a part of it."""
        dict_id = (await self._named.find(workspace, ref)).id
        await self._remove_entries(dict_id)

    # ---- large values

    async def stage(self, workspace: str, ref: str, stream: AsyncIterable[bytes]) -> str:
        return await self._files.stage((await self._named.find(workspace, ref)).id, stream)

    async def open_value(self, workspace: str, ref: str, file: str) -> BinaryIO:
        return self._files.open_read((await self._named.find(workspace, ref)).id, file)

    async def _drain(self, dict_id: str) -> None:
        await self._remove_entries(dict_id)
        await self._named.forget(dict_id)
        await asyncio.to_thread(self._files.remove, dict_id)

    async def _remove_entries(self, dict_id: str) -> None:
        def step(tx: Transaction) -> tuple[int, list[str]]:
            rows = tx.read("dict_keys", {"dict_id": dict_id, "after": b"", "limit": _STEP})
            if rows:
                tx.write(writes.delete_first_dict_entries(dict_id, rows[-1][1]))
            return len(rows), [row[3] for row in rows if row[3] is not None]

        removed = _STEP
        while removed == _STEP:
            removed, files = await self._store.transact(step)
            self._files.bury(dict_id, files)


def _files(tx: Transaction, dict_id: str) -> set[str]:
    return {row[1] for row in tx.read("dict_files", {"dict_id": dict_id})}


def _check(entries: Sequence[DictEntry]) -> None:
    if not entries:
        raise InvalidError("an update needs an entry at least")
    if len(entries) > DICT_UPDATE_ENTRIES:
        raise RequestSizeError(
            f"{len(entries):,} entries are over the limit of {DICT_UPDATE_ENTRIES:,} an update; send them in several"
        )
    for entry in entries:
        _check_entry(entry)


def _check_entry(entry: DictEntry) -> None:
    if not 0 < len(entry.key) <= DICT_KEY_BYTES:
        raise RequestSizeError(
            f"Dict key too big: a key of {len(entry.key):,} bytes, and one has 1 to {DICT_KEY_BYTES:,}; take a digest of it for the key"
        )
    if (entry.value is None) == (entry.file is None):
        raise InvalidError("an entry has a `value` or, where that was sent by itself, its `file`")
    if entry.value is not None and len(entry.value) > DICT_INLINE_BYTES:
        raise RequestSizeError(
            f"a value of {len(entry.value):,} bytes goes by itself (POST /v1/dicts/DICT/values); those in an update have up to {DICT_INLINE_BYTES:,}"
        )


def _view(row: DictRow) -> DictView:
    return DictView(id=row.id, name=row.name, created=row.created)
