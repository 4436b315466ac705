"""Alembic migrations, shipped with the package and run when a store opens an older database. See `versions/`."""

import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.event import listen

from freehold.server.store.sqlite_connect import connect

_FOLDER = Path(__file__).parent


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def revisions() -> list[str]:
    """Newest first."""
    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]


def upgrade(path: Path, target: str = "head") -> None:
    """Bring the SQLite database at `path` to `target` in one transaction: killed half-way, nothing has changed."""
    engine = _engine(path)
    try:
        with engine.begin() as connection:
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, target)
    finally:
        engine.dispose()


def _engine(path: Path) -> sa.Engine:
    def open_writer() -> sqlite3.Connection:
        return connect(path)

    engine = sa.create_engine("sqlite://", creator=open_writer, poolclass=sa.pool.NullPool)

    def begin(connection: Any) -> None:  # the driver would begin only at the first INSERT, and leave DDL outside
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    listen(engine, "begin", begin)
    return engine
