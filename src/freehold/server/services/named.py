"""Dicts or queues as such, by name and by id: made, found, listed, kept alive and ended. What they hold is their own services' business."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from freehold.core.clock import Clock
from freehold.core.errors import AlreadyExistsError, InvalidError, NotFoundError
from freehold.core.ids import is_id, new_id
from freehold.core.limits import LEASE_S
from freehold.core.names import check_name
from freehold.core.suggest import did_you_mean
from freehold.server.store import writes
from freehold.server.store.contract import Store, Transaction
from freehold.server.store.rows import DictRow, QueueRow
from freehold.server.store.writes import Kind

RowT = TypeVar("RowT", DictRow, QueueRow)
_MOST = 10_000  # in a listing


@dataclass(frozen=True, kw_only=True)
class Noun:
    one: str
    kind: Kind
    prefix: Literal["di", "qu"]


DICT, QUEUE = Noun(one="dict", kind="dicts", prefix="di"), Noun(one="queue", kind="queues", prefix="qu")


class Named(Generic[RowT]):
    """All of one kind, of every workspace."""

    def __init__(self, noun: Noun, row: Callable[..., RowT], *, store: Store, clock: Clock) -> None:
        self._noun, self._row, self._store, self._clock = noun, row, store, clock

    async def open(self) -> None:
        """Give those that are ephemeral their time anew: no client could tell that it lives while the server was gone."""
        until = self._clock.now() + LEASE_S
        await self._store.transact(lambda tx: tx.write(writes.spare_named(self._noun.kind, until)))

    async def create(self, workspace: str, name: str, *, allow_existing: bool = False) -> RowT:
        """Make one; without a name it is ephemeral."""
        if name:
            check_name(name, f"a {self._noun.one}")
            if is_id(name, self._noun.prefix):
                raise InvalidError(f"{name!r} cannot name a {self._noun.one}: it has the form of an id; give another")
        now = self._clock.now()
        row = self._row(new_id(self._noun.prefix), workspace, name or None, now, *([] if name else [now + LEASE_S]))

        def step(tx: Transaction) -> RowT:
            found = self._read(tx, workspace, name) if name else None
            if found is not None and not allow_existing:
                raise AlreadyExistsError(f"there is a {self._noun.one} {name!r} already")
            if found is None:
                tx.write(writes.insert_named(self._noun.kind, row))
            return found or row

        return await self._store.transact(step)

    async def find(self, workspace: str, ref: str) -> RowT:
        """By id or name; NotFoundError with the nearest name."""
        rows = await self._store.read(self._query(ref), {"workspace": workspace, "ref": ref})
        if not rows:
            raise await self._missing(workspace, ref)
        return self._row(*rows[0])

    async def id_of(self, workspace: str, ref: str) -> str:
        """The id itself, which need not be there, or that of a name."""
        return ref if is_id(ref, self._noun.prefix) else (await self.find(workspace, ref)).id

    async def list(self, workspace: str, *, before: float | None = None, limit: int | None = None) -> Sequence[RowT]:
        """Those that have names, the newest first."""
        if limit is not None and limit < 0:
            raise InvalidError(f"limit={limit} is below 0; give how many to list")
        before = self._clock.now() + 1 if before is None else before
        params = {"workspace": workspace, "before": before, "limit": min(_MOST if limit is None else limit, _MOST)}
        return [self._row(*row) for row in await self._store.read(self._noun.kind, params)]

    async def beat(self, workspace: str, ref: str) -> None:
        """The client of an ephemeral one lives."""
        until = self._clock.now() + LEASE_S

        def step(tx: Transaction) -> None:
            self.require(tx, workspace, ref)
            tx.write(writes.beat_named(self._noun.kind, ref, until))

        await self._store.transact(step)

    async def end(self, workspace: str, ref: str) -> RowT:
        """From here on nobody finds it."""
        found = await self.find(workspace, ref)

        def step(tx: Transaction) -> RowT:
            self.require(tx, workspace, found.id)
            tx.write(writes.end_named(self._noun.kind, found.id))
            return found

        return await self._store.transact(step)

    async def everything(self, workspace: str) -> Sequence[str]:
        """Ids of all of a workspace, the ephemeral ones too."""
        return [row[0] for row in await self._store.read(f"all_{self._noun.kind}", {"workspace": workspace})]

    async def expired(self) -> Sequence[str]:
        """Ids of those whose client has left, and of those whose deletion was interrupted."""
        rows: list[tuple[Any, ...]] = await self._store.read(f"expired_{self._noun.kind}", {"now": self._clock.now()})
        return [row[0] for row in rows]

    async def forget(self, ref: str, *, end: bool = False) -> None:
        """Delete the row of one that holds nothing any more; with `end`, only let nobody find it."""
        op = writes.end_named if end else writes.delete_named
        await self._store.transact(lambda tx: tx.write(op(self._noun.kind, ref)))

    def require(self, tx: Transaction, workspace: str, ref: str) -> RowT:
        """The row of an id, inside a transaction."""
        found = self._read(tx, workspace, ref)
        if found is None:
            raise self.gone(ref)
        return found

    def gone(self, ref: str) -> NotFoundError:
        return NotFoundError(
            f"there is no {self._noun.one} {ref!r}: it was deleted, or it was ephemeral and its `with` block or its client has ended"
        )

    def _read(self, tx: Transaction, workspace: str, ref: str) -> RowT | None:
        rows = tx.read(self._query(ref), {"workspace": workspace, "ref": ref})
        return self._row(*rows[0]) if rows else None

    def _query(self, ref: str) -> str:
        return f"{self._noun.kind}_by_{'id' if is_id(ref, self._noun.prefix) else 'name'}"

    async def _missing(self, workspace: str, ref: str) -> NotFoundError:
        if is_id(ref, self._noun.prefix):
            return self.gone(ref)
        known = [row.name for row in await self.list(workspace) if row.name]
        hint = did_you_mean(ref, known) or (
            f"; make it with `freehold {self._noun.one} create {ref}`, or pass create_if_missing=True"
        )
        return NotFoundError(f"there is no {self._noun.one} {ref!r}{hint}")
