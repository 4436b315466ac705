"""Environments: while one is deleted nothing is made in it, and nobody makes it anew."""

import asyncio
from pathlib import Path

import pytest

from freehold.core.clock import SystemClock
from freehold.core.errors import ConflictError, NotFoundError
from freehold.server.services.environments import Environments
from freehold.server.store.sqlite import SqliteStore


async def test_while_it_is_deleted_nothing_is_made_in_it(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "db")
    await store.open()
    environments, begun, may = Environments(store=store, clock=SystemClock()), asyncio.Event(), asyncio.Event()

    async def empty(name: str) -> None:
        assert name == "main.dev"
        begun.set()
        await may.wait()

    environments.empty = [empty]
    await environments.create("main", "dev")
    deleting = asyncio.create_task(environments.delete("main", "dev"))
    await begun.wait()
    with pytest.raises(ConflictError, match="'dev' is being deleted"):
        environments.find("main", "dev")
    with pytest.raises(ConflictError, match="'dev' is being deleted"):
        await environments.create("main", "dev")
    with pytest.raises(ConflictError, match="'dev' is being deleted"):
        await environments.delete("main", "dev")
    may.set()
    await deleting
    with pytest.raises(NotFoundError):
        environments.find("main", "dev")
    await environments.create("main", "dev")
    await environments.open()
    assert environments.find("main", "dev") == "main.dev"
    await store.close()


async def test_what_could_not_be_emptied_is_there_still(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "db")
    await store.open()
    environments = Environments(store=store, clock=SystemClock())

    async def fails(_: str) -> None:
        raise ConflictError("not now")

    environments.empty = [fails]
    await environments.create("main", "dev")
    with pytest.raises(ConflictError, match="not now"):
        await environments.delete("main", "dev")
    assert environments.find("main", "dev") == "main.dev"
    await store.close()
