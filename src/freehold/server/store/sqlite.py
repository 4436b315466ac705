"""The embedded store: SQLite, one writer thread with group commit, reader threads of their own.

All units that came in while the last group was committed make the next group: one transaction, one fsync.
"""

import asyncio
import itertools
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar
from zlib import crc32

from freehold.core.errors import ConflictError, Error, InvalidError, ResourceExhaustedError
from freehold.server.store.contract import Done, Params, Transaction, Write
from freehold.server.store.mark import Mark
from freehold.server.store.sqlite_connect import connect, connect_reader
from freehold.server.store.sqlite_errors import disk_full, of_the_store, translate
from freehold.server.store.sqlite_open import open_database
from freehold.server.store.sqlite_sql import QUERIES, WRITES, QueryText, WriteText

_log = logging.getLogger("freehold.store")
T = TypeVar("T")

MAX_PENDING_UNITS = 200_000
LEAST_FREE_BYTES = 4 * 1024 * 1024  # kept for the outcomes of what runs
_MAX_GROUP_UNITS = 4_096
_READERS = 2
# Rows in one statement: SQLite lets go of the GIL at each, and would queue for it behind a busy loop. Not every number, since each
# is a prepared statement of its own; so a group is at most so many of the largest, a multiple of the step, and a rest.
_MOST_ROWS, _STEP_ROWS = 256, 16
_CHECKPOINT_BYTES = 16 * 1024 * 1024
_BYTES_A_ROW, _BYTES_A_GROUP = 400, 16 * 1024  # what the log grows by, roughly
_ZEROS = bytes(1024 * 1024)
_START_BYTES = 256 * 1024  # more than a start and little use log


class _Unit(NamedTuple):
    ops: Sequence[Write]
    done: Done
    alone: Callable[[], object] | None = None
    step: Callable[[Transaction], object] | None = None  # after the ops of its group


class SqliteStore:
    """See `contract.Store`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark = Mark(path.with_name(path.name + ".mark"))
        self._queue: SimpleQueue[_Unit | None] = SimpleQueue()
        self._pending = 0
        self._short: str | None = None
        self._writer: _Writer | None = None
        self._readers: _Readers | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def fault(self) -> str | None:
        return (self._writer.fault if self._writer else None) or self._short

    def look(self) -> None:
        found = os.statvfs(self._path.parent)
        free = found.f_bavail * found.f_frsize
        full = f"the disk that holds {self._path} is full but for {free // 1024} KiB: free some space, then try again"
        self._short = full if free < LEAST_FREE_BYTES else None
        if self._writer is not None and self._writer.fault is not None:
            self.write_then([], lambda _error: None)

    @property
    def pending(self) -> int:
        """Units that wait for their commit."""
        return self._pending

    async def open(self) -> None:
        self._loop = loop = asyncio.get_running_loop()
        db, sequence = await asyncio.to_thread(open_database, self._path, self._mark)
        self._writer = _Writer(self._path, db, sequence, self._mark, self._queue, loop, self._deliver)
        self._readers = _Readers(self._path)
        self._writer.start()

    async def close(self) -> None:
        writer, self._writer = self._writer, None
        readers, self._readers = self._readers, None
        if readers is not None:
            await asyncio.to_thread(readers.close)  # first: a reader would hold up the last checkpoint
        if writer is not None:
            self._queue.put(None)
            await asyncio.to_thread(writer.join)
            await asyncio.sleep(0)  # let the last callbacks run
        self._mark.close()

    def write_then(self, ops: Sequence[Write], done: Done, *, alone: Callable[[], object] | None = None) -> None:
        self._put(_Unit(ops, done, alone))

    async def write(self, *ops: Write) -> None:
        future, done = _future_of_a_commit()
        self._put(_Unit(ops, done))
        await future

    async def transact(self, step: Callable[[Transaction], T]) -> T:
        future, done = _future_of_a_commit()
        results: list[T] = []

        def keep(transaction: Transaction) -> None:
            results.append(step(transaction))

        self._put(_Unit((), done, step=keep))
        await future
        return results[-1]

    async def read(self, query: str, params: Params, where: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        if self._readers is None or self._loop is None:
            raise ConflictError("the store is closed")
        sql = _select(QUERIES[query], where)
        return await self._loop.run_in_executor(self._readers.pool, self._readers.fetch, sql, params)

    def _put(self, unit: _Unit) -> None:
        if self._writer is None or self._pending >= MAX_PENDING_UNITS:
            self._refuse(unit.done)
            return
        self._pending += 1
        self._queue.put(unit)

    def _refuse(self, done: Done) -> None:
        error: Error = (
            ConflictError("the store is closed")
            if self._writer is None
            else ResourceExhaustedError(f"{self._pending} writes wait for the disk; try again when it has caught up")
        )
        asyncio.get_running_loop().call_soon(done, error)

    def _deliver(self, outcomes: Sequence[tuple[_Unit, Exception | None]]) -> None:
        self._pending -= len(outcomes)
        for unit, error in outcomes:
            try:
                unit.done(error)
            except Exception:  # noqa: BLE001 (the edge of the loop)
                _log.exception("write_callback_failed")


class _Writer(threading.Thread):
    """Owns the one writing connection. No error ends it: a group that cannot be written is answered, the next one is tried."""

    def __init__(
        self, path: Path, db: sqlite3.Connection, sequence: int, mark: Mark, queue: "SimpleQueue[_Unit | None]",
        loop: asyncio.AbstractEventLoop, deliver: Any,
    ) -> None:  # fmt: skip
        super().__init__(name="store-writer", daemon=True)
        self.fault: str | None = None
        self._path, self._mark, self._queue = path, mark, queue
        self._db: sqlite3.Connection | None = db
        self._sequence, self._logged_bytes = sequence, 0
        self._log_grown = False
        self._loop, self._deliver = loop, deliver

    def run(self) -> None:
        closing = False
        while not closing:
            units, closing = self._next_group()
            if units:
                self._answer(self._commit(units))
                if not self._log_grown and self._logged_bytes > _START_BYTES and self._queue.empty():
                    self._grow_log()
            if (
                self._logged_bytes > _CHECKPOINT_BYTES and self._queue.empty()
            ) or self._logged_bytes > 4 * _CHECKPOINT_BYTES:
                self._checkpoint("PASSIVE")
        self._checkpoint("TRUNCATE")
        self._disconnect()

    def _next_group(self) -> tuple[list[_Unit], bool]:
        first, units = self._queue.get(), list[_Unit]()
        if first is None:
            return units, True
        units.append(first)
        for _ in range(min(self._queue.qsize(), _MAX_GROUP_UNITS)):
            unit = self._queue.get()
            if unit is None:
                return units, True
            units.append(unit)
        return units, False

    def _answer(self, outcomes: Sequence[tuple[_Unit, Exception | None]]) -> None:
        try:
            self._loop.call_soon_threadsafe(self._deliver, outcomes)
        except RuntimeError:  # the loop is closed: nobody waits
            _log.warning("writes_unanswered", extra={"count": len(outcomes)})

    def _commit(self, units: Sequence[_Unit]) -> list[tuple[_Unit, Exception | None]]:
        try:
            self._transact(units)
        except Exception as error:  # noqa: BLE001 (the edge of the writer's loop)
            if not of_the_store(error):
                return self._commit_apart(units) if len(units) > 1 else [(units[0], translate(error, self._path))]
            return self._fail(units, error)
        if len(units) == 1 and units[0].alone is not None:
            self._tell(units[0].alone)
        self._committed()
        return [(unit, None) for unit in units]

    @staticmethod
    def _tell(alone: Callable[[], object]) -> None:
        try:
            alone()
        except Exception:  # noqa: BLE001 (the edge of the writer's loop)
            _log.exception("write_callback_failed")

    def _commit_apart(self, units: Sequence[_Unit]) -> list[tuple[_Unit, Exception | None]]:
        """One of these is at fault: give each a savepoint, so that the others commit."""
        try:
            with self._transaction() as db:
                outcomes = [(unit, self._apply_apart(db, unit)) for unit in units]
        except Exception as error:  # noqa: BLE001 (as above)
            return self._fail(units, error)
        self._committed()
        return outcomes

    def _apply_apart(self, db: sqlite3.Connection, unit: _Unit) -> Exception | None:
        db.execute("SAVEPOINT unit")
        try:
            for op in unit.ops:
                self._apply(db, WRITES[op.statement], op.rows)
            if unit.step is not None:
                unit.step(_Transaction(db, self._apply_step))
        except Exception as error:
            if of_the_store(error):
                raise
            db.execute("ROLLBACK TO unit")
            return translate(error, self._path)
        finally:
            if db.in_transaction:
                db.execute("RELEASE unit")
        return None

    def _transact(self, units: Sequence[_Unit]) -> None:
        with self._transaction() as db:
            for text, rows in _by_statement(units):
                self._apply(db, text, rows)
            for unit in units:
                if unit.step is not None:
                    unit.step(_Transaction(db, self._apply_step))

    def _transaction(self) -> "_Commit":
        if self._db is None:
            self._db = connect(self._path)
        return _Commit(self._db, self._sequence + 1)

    def _apply(self, db: sqlite3.Connection, text: WriteText, rows: Sequence[tuple[Any, ...]]) -> int:
        self._logged_bytes += _BYTES_A_ROW * len(rows)
        if text.checked:
            rows = self._checked(rows, text.checked)
        if text.order is not None:
            rows = [tuple(row[i] for i in text.order) for row in rows]
        if not text.row:
            return db.executemany(text.head, rows).rowcount
        changed = 0
        for some in _portions(rows):
            values = some[0] if len(some) == 1 else list(itertools.chain.from_iterable(some))
            changed += db.execute(_many(text, len(some)), values).rowcount
        return changed

    def _apply_step(self, db: sqlite3.Connection, op: Write) -> int:
        self._logged_bytes += sum(len(value) for row in op.rows for value in row if isinstance(value, bytes))
        return self._apply(db, WRITES[op.statement], op.rows)

    def _checked(self, rows: Sequence[tuple[Any, ...]], positions: tuple[int, ...]) -> list[tuple[Any, ...]]:
        def crc(value: bytes | None) -> int | None:
            if value is None:
                return None
            self._logged_bytes += len(value)
            return crc32(value)

        return [(*row, *[crc(row[i]) for i in positions]) for row in rows]

    def _committed(self) -> None:
        self._sequence += 1
        self._logged_bytes += _BYTES_A_GROUP
        if self.fault is not None:
            _log.info("store_recovered", extra={"fault": self.fault})
            self.fault = None
        try:
            self._mark.write(self._sequence)
        except OSError as error:
            _log.warning("mark_not_written", extra={"error": str(error)})

    def _fail(self, units: Sequence[_Unit], error: Exception) -> list[tuple[_Unit, Exception | None]]:
        told = translate(error, self._path)
        if self.fault is None:
            _log.error("store_failed", extra={"error": str(told), "count": len(units)})
        self.fault = str(told)
        if not disk_full(error):
            self._disconnect()  # a connection that met an I/O error is not trusted again
        return [(unit, told) for unit in units]

    def _grow_log(self) -> None:
        """Write zeros behind what is logged, as far as the log will grow, one step whenever nobody waits.

        A commit that has to write down a file's new length too takes twice as long; SQLite itself reuses the log's file, once it is there.
        """
        try:
            with open(f"{self._path}-wal", "r+b", buffering=0) as log:  # noqa: PTH123 (its name is SQLite's)
                size = log.seek(0, os.SEEK_END)
                self._log_grown = size >= _CHECKPOINT_BYTES
                if not self._log_grown:
                    log.write(_ZEROS)
        except OSError:  # no room: commits will tell
            self._log_grown = True

    def _checkpoint(self, mode: str) -> None:
        self._logged_bytes = 0
        try:
            if self._db is not None:
                self._db.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
        except sqlite3.Error as error:  # nothing is lost: the log keeps it
            _log.warning("checkpoint_failed", extra={"error": str(error)})

    def _disconnect(self) -> None:
        self._log_grown = False  # SQLite removes it
        db, self._db = self._db, None
        if db is not None:
            try:
                db.close()
            except sqlite3.Error as error:
                _log.warning("close_failed", extra={"error": str(error)})


class _Transaction:
    """See `contract.Transaction`."""

    def __init__(self, db: sqlite3.Connection, apply: Callable[[sqlite3.Connection, Write], int]) -> None:
        self._db, self._apply = db, apply

    def read(self, query: str, params: Params, where: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        return self._db.execute(_select(QUERIES[query], where), params).fetchall()

    def write(self, op: Write) -> int:
        return self._apply(self._db, op)


class _Commit:
    """BEGIN IMMEDIATE … COMMIT with the next sequence number, or ROLLBACK."""

    def __init__(self, db: sqlite3.Connection, sequence: int) -> None:
        self._db, self._sequence = db, sequence

    def __enter__(self) -> sqlite3.Connection:
        self._db.execute("BEGIN IMMEDIATE")
        return self._db

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._db.execute("UPDATE commits SET sequence = ?", (self._sequence,))
                self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")


class _Readers:
    """Threads with a read-only connection each."""

    def __init__(self, path: Path) -> None:
        self.pool = ThreadPoolExecutor(_READERS, thread_name_prefix="store-reader")
        self._path = path
        self._own = threading.local()
        self._all: list[sqlite3.Connection] = []

    def fetch(self, sql: str, params: Params) -> list[tuple[Any, ...]]:
        try:
            db: sqlite3.Connection | None = getattr(self._own, "db", None)
            if db is None:
                db = self._own.db = connect_reader(self._path)
                self._all.append(db)
            return db.execute(sql, params).fetchall()
        except OverflowError:
            raise InvalidError("a number is over what is counted here: give one below 2**63") from None
        except sqlite3.Error as error:
            raise translate(error, self._path) from error

    def close(self) -> None:
        self.pool.shutdown(wait=True)
        for db in self._all:
            db.close()


def _future_of_a_commit() -> tuple["asyncio.Future[None]", Done]:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(error: Exception | None) -> None:
        if future.cancelled():
            return
        future.set_result(None) if error is None else future.set_exception(error)

    return future, done


def _by_statement(units: Iterable[_Unit]) -> list[tuple[WriteText, list[tuple[Any, ...]]]]:
    """Rows of one statement together. The order within a table stays; between tables it does not matter."""
    groups: list[tuple[WriteText, list[tuple[Any, ...]]]] = []
    last: dict[str, tuple[str, list[tuple[Any, ...]]]] = {}
    for unit in units:
        for statement, rows in unit.ops:
            text = WRITES[statement]
            open_group = last.get(text.table)
            if open_group is not None and open_group[0] == statement:
                open_group[1].extend(rows)
                continue
            group = list(rows)
            last[text.table] = (statement, group)
            groups.append((text, group))
    return groups


def _portions(rows: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    start, left = 0, len(rows)
    while left:
        size = _MOST_ROWS if left >= _MOST_ROWS else left // _STEP_ROWS * _STEP_ROWS or left
        yield rows[start : start + size]
        start, left = start + size, left - size


_texts: dict[tuple[str, str, int], str] = {}


def _many(text: WriteText, count: int) -> str:
    key = (text.head, text.tail, count)
    sql = _texts.get(key)
    if sql is None:
        sql = _texts[key] = text.head + ", ".join([text.row] * count) + text.tail
    return sql


def _select(query: QueryText, where: Sequence[str]) -> str:
    conditions = " AND ".join(query.conditions[name] for name in where)
    joint = (" AND " if query.filtered else " WHERE ") if conditions else ""
    return f"{query.head}{joint}{conditions} {query.tail}"
