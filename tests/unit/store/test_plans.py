"""What SQLite does for the queries that are asked often: no walk through a whole table but in the order of the answer."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from freehold.server.store.mark import Mark
from freehold.server.store.sqlite import _select
from freehold.server.store.sqlite_open import open_database
from freehold.server.store.sqlite_sql import QUERIES, WRITES


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    mark = Mark(tmp_path / "mark")
    db, _ = open_database(tmp_path / "freehold.db", mark)
    yield db
    mark.close()
    db.close()


def plan(db: sqlite3.Connection, sql: str) -> str:
    numbered = sql.count("?")
    names = {word[1:].strip("(),") for word in sql.split() if word.startswith(":")}
    rows = db.execute(f"EXPLAIN QUERY PLAN {sql}", (1,) * numbered if numbered else dict.fromkeys(names, 1))
    return "; ".join(row[3] for row in rows)


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("calls", "id"), ("calls", "key"), ("calls", "app"), ("calls", "parent"), ("inputs", ""), ("outcomes", ""), ("input", ""),
        ("attempts", ""), ("instances", "id"), ("instances", "app"), ("events", "subject"), ("functions", "id"), ("functions", "app_id"),
        ("app_versions", "version"), ("secrets", "ref"), ("secrets", "digest"), ("volumes", "name"), ("images", "digest"), ("nth_call", ""),
        ("dicts_by_id", ""), ("dicts_by_name", ""), ("dict_entry", ""), ("dict_entries", ""), ("dict_keys", ""), ("dict_length", ""),
        ("dict_files", ""), ("expired_dicts", ""), ("queues_by_id", ""), ("queues_by_name", ""), ("queue_partition", ""),
        ("queue_items", ""), ("queue_counts", ""), ("queue_total", ""), ("queue_partitions", ""), ("expired_queue_partitions", ""),
    ],
)  # fmt: skip
def test_an_index_leads_there(db: sqlite3.Connection, query: str, where: str) -> None:
    steps = plan(db, _select(QUERIES[query], [where] if where else []))
    assert "SEARCH" in steps
    assert "SCAN" not in steps


@pytest.mark.parametrize(
    ("query", "where", "expected"),
    [
        ("calls", (), "SCAN calls"),  # newest first, along its key
        ("calls", ("unfinished", "state"), "SCAN calls USING INDEX ix_calls_unfinished"),
        ("calls", ("unsuccessful", "state"), "SCAN calls USING INDEX ix_calls_unsuccessful"),
        ("instances", ("live",), "SCAN instances USING INDEX ix_instances_live"),
        ("unfinished_calls", (), "SCAN calls USING INDEX ix_calls_unfinished"),
    ],
)
def test_pages_come_in_order_without_a_sort(
    db: sqlite3.Connection, query: str, where: tuple[str, ...], expected: str
) -> None:
    assert plan(db, _select(QUERIES[query], where)) == expected


@pytest.mark.parametrize(
    "name",
    [
        "prune_calls",
        "prune_inputs",
        "prune_attempts",
        "set_app_state",
        "delete_secrets",
        "set_schedule_due",
        "delete_schedules",
        "beat_dicts",
        "end_queues",
        "delete_dict_entry",
        "delete_first_dict_entries",
        "take_queue_items",
        "delete_queue_items",
    ],
)
def test_writes_search(db: sqlite3.Connection, name: str) -> None:
    assert "SCAN" not in plan(db, WRITES[name].head)
