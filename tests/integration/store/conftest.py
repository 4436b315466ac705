"""Every store, fresh, for the contract suite. A new store joins by a branch in `make_store`."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from freehold.server.store.contract import Store
from freehold.server.store.reads import Reads
from freehold.server.store.sqlite import SqliteStore

STORES = ["sqlite"]
MakeStore = Callable[[], Store]


@pytest.fixture(params=STORES)
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStore:
    """Open the same database again and again."""
    assert request.param == "sqlite"
    return lambda: SqliteStore(tmp_path / "freehold.db")


@pytest.fixture
async def store(make_store: MakeStore) -> AsyncIterator[Store]:
    store = make_store()
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def reads(store: Store) -> Reads:
    return Reads(store)
