"""Opening a SQLite database: create or migrate it, and refuse one that is damaged or has lost commits."""

import logging
import sqlite3
import uuid
from pathlib import Path

from freehold.core.errors import DataLossError, VersionError
from freehold.server.store.mark import Mark
from freehold.server.store.sqlite_connect import connect
from freehold.server.store.sqlite_errors import translate
from freehold.server.store.sqlite_sql import HEAD, SCHEMA

_log = logging.getLogger("freehold.store")

SAFE_VERSION = (3, 51, 3)  # older ones can damage a write-ahead log that two connections write; we write with one
CHECK_AT_OPEN_MAX_BYTES = 128 * 1024 * 1024


def open_database(path: Path, mark: Mark) -> tuple[sqlite3.Connection, int]:
    """Return the writing connection and the sequence of the last commit."""
    _warn_of_old_sqlite()
    try:
        _refuse_missing(path, mark)
        path.parent.mkdir(parents=True, exist_ok=True)
        db = connect(path)
        try:
            _check_pages(db, path)
            _bring_up_to_date(db, path)
            database, sequence = db.execute("SELECT database, sequence FROM commits").fetchone()
            mark.check(database, sequence)
        except BaseException:
            db.close()
            raise
    except (sqlite3.Error, OSError) as error:
        raise translate(error, path) from error
    return db, sequence


def _warn_of_old_sqlite() -> None:
    if sqlite3.sqlite_version_info < SAFE_VERSION:
        _log.debug(
            "old_sqlite", extra={"version": sqlite3.sqlite_version, "safe_from": ".".join(map(str, SAFE_VERSION))}
        )


def _refuse_missing(path: Path, mark: Mark) -> None:
    found = mark.read()
    if found is not None and found[1] > 0 and not (path.exists() and path.stat().st_size):
        msg = f"{path} is gone, and held {found[1]} commits: restore a backup, or delete {path}.mark to start anew"
        raise DataLossError(msg)


def _check_pages(db: sqlite3.Connection, path: Path) -> None:
    if path.stat().st_size > CHECK_AT_OPEN_MAX_BYTES:
        _log.info(
            "database_not_checked", extra={"bytes": path.stat().st_size, "fix": "freehold doctor checks it whole"}
        )
        return
    found = [row[0] for row in db.execute("PRAGMA integrity_check(5)")]
    if found != ["ok"]:
        msg = f"{path} is damaged; restore a backup: {'; '.join(map(str, found))[:500]}"
        raise DataLossError(msg)


def _bring_up_to_date(db: sqlite3.Connection, path: Path) -> None:
    revision = _revision(db)
    if revision is None:
        _create(db)
    elif revision != HEAD:
        _migrate(path, revision)


def _revision(db: sqlite3.Connection) -> str | None:
    """The schema's revision; None when the database is empty."""
    if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return None
    if not db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'").fetchone()[0]:
        msg = "the database holds tables that are not Freehold's; point FREEHOLD_HOME at another folder"
        raise DataLossError(msg)
    row = db.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else ""


def _create(db: sqlite3.Connection) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
        )
        db.execute("INSERT INTO alembic_version VALUES (?)", (HEAD,))
        for statement in SCHEMA:
            db.execute(statement)
        first_rows(db)
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def first_rows(db: sqlite3.Connection) -> None:
    """What every database holds from the start."""
    db.execute("INSERT INTO commits VALUES (1, ?, 0)", (uuid.uuid4().hex[:12],))
    db.execute(
        "INSERT INTO workspaces VALUES ('main', unixepoch('subsec'))"
        if sqlite3.sqlite_version_info >= (3, 42)
        else "INSERT INTO workspaces VALUES ('main', (julianday('now') - 2440587.5) * 86400.0)"
    )


def _migrate(path: Path, revision: str) -> None:
    from freehold.server.store import migrations  # Alembic takes longer to load than the server

    if revision and revision not in migrations.revisions():
        msg = f"the database is of a newer Freehold (schema {revision}, this one knows up to {HEAD}); upgrade Freehold"
        raise VersionError(msg)
    _log.info("migrating", extra={"from": revision, "to": HEAD})
    migrations.upgrade(path)
