"""Migrations lead to the very schema that a fresh database gets; a database of a newer program is refused."""

import sqlite3
from pathlib import Path

import pytest

from freehold.core.errors import VersionError
from freehold.server.store import migrations
from freehold.server.store.reads import Reads
from freehold.server.store.sqlite import SqliteStore
from freehold.server.store.sqlite_sql import HEAD


def _schema(path: Path) -> dict[str, str]:
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    db.close()
    return {name: "".join(sql.split()) for name, sql in rows}


async def test_migrations_give_the_schema_of_a_fresh_database(tmp_path: Path) -> None:
    migrations.upgrade(tmp_path / "migrated.db")
    fresh, migrated = SqliteStore(tmp_path / "fresh.db"), SqliteStore(tmp_path / "migrated.db")
    for store in (fresh, migrated):
        await store.open()
        assert [w.name for w in await Reads(store).workspaces()] == ["main"]
        await store.close()
    assert _schema(tmp_path / "migrated.db") == _schema(tmp_path / "fresh.db")
    assert migrations.revisions()[0] == HEAD


async def test_an_older_database_is_migrated_at_open(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "freehold.db") as db:
        db.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    db.close()
    store = SqliteStore(tmp_path / "freehold.db")
    await store.open()
    assert await Reads(store).calls("main") == []
    await store.close()


async def test_a_database_of_the_first_release_keeps_what_it_holds(tmp_path: Path) -> None:
    migrations.upgrade(tmp_path / "freehold.db", "0001")  # before dicts and queues
    with sqlite3.connect(tmp_path / "freehold.db") as db:
        db.execute("INSERT INTO workspaces VALUES ('theirs', 1.0)")
    db.close()
    store = SqliteStore(tmp_path / "freehold.db")
    await store.open()
    assert [w.name for w in await Reads(store).workspaces()] == ["main", "theirs"]
    assert await store.read("queues", {"workspace": "main", "before": 9.0, "limit": 9}) == []
    await store.close()


async def test_a_database_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "freehold.db")
    await store.open()
    await store.close()
    with sqlite3.connect(tmp_path / "freehold.db") as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    db.close()
    with pytest.raises(VersionError, match=r"newer Freehold.*upgrade Freehold"):
        await SqliteStore(tmp_path / "freehold.db").open()


def test_a_failed_migration_leaves_the_database_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        msg = "killed half-way"
        raise RuntimeError(msg)

    monkeypatch.setattr("alembic.op.bulk_insert", broken)  # after all tables were made
    with pytest.raises(RuntimeError, match="half-way"):
        migrations.upgrade(tmp_path / "freehold.db")
    assert _schema(tmp_path / "freehold.db") == {}
