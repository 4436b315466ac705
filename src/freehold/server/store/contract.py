"""What a store promises: atomic writes by named statement, group commit, reads off the loop."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

Params = Mapping[str, Any]
T = TypeVar("T")


class Write(NamedTuple):
    """One statement of `statements.py` by name, and its rows. `writes.py` makes them, typed."""

    statement: str
    rows: Sequence[tuple[Any, ...]]


Done = Callable[[Exception | None], None]


class Transaction(Protocol):
    """What a step works with inside the writer's transaction: it sees what was written before it, committed or not."""

    def read(self, query: str, params: Params, where: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        """As `Store.read`."""
        ...

    def write(self, op: Write) -> int:
        """Write, and return how many rows that changed."""
        ...


class Store(Protocol):
    """Where what must outlive the server lies. One server owns it."""

    async def open(self) -> None:
        """Open or create it, bring its schema up to date; DataLossError when it is damaged or behind its mark."""
        ...

    async def close(self) -> None:
        """Commit what was written, and fold the log into the database."""
        ...

    def write(self, *ops: Write) -> Awaitable[None]:
        """Write `ops` as one unit: all of them durable when this returns, or none and an error.

        AlreadyExistsError for a taken key, ResourceExhaustedError when the disk or the queue is full, DataLossError
        when the disk fails (then nobody knows whether the unit is there).
        """
        ...

    def write_then(self, ops: Sequence[Write], done: Done, *, alone: Callable[[], object] | None = None) -> None:
        """The same for the hot path: `done(None)` or `done(error)` runs on the loop after the commit, in order.

        `alone` may run before it, in whichever thread commits, when nothing else was in the group: it must be quick, and not fail.
        """
        ...

    def transact(self, step: Callable[[Transaction], T]) -> Awaitable[T]:
        """Read and write as one unit, durable when this returns what `step` did.

        `step` runs in the thread that commits, once or, when a neighbour in its group fails, again after a rollback: it must be quick, and
        change nothing but through its transaction. What it raises is raised here, and leaves nothing written. It must be alone in
        writing its tables: it runs after all plain writes of its group.
        """
        ...

    def read(self, query: str, params: Params, where: Sequence[str] = ()) -> Awaitable[list[tuple[Any, ...]]]:
        """Rows of a query of `statements.py` by name, with these of its optional conditions."""
        ...

    @property
    def fault(self) -> str | None:
        """Why the last commit failed, or the next ones soon will; None when all is well."""
        ...

    def look(self) -> None:
        """Notice, every now and then, a disk that fills up, and one that takes writes again."""
        ...
