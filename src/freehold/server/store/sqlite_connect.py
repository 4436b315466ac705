"""Connections to a SQLite database: the one that writes, and those that read."""

import os
import sqlite3
from pathlib import Path

_CACHE_KIB = 16 * 1024


def connect(path: Path) -> sqlite3.Connection:
    """The one writing connection. Checkpoints are the writer's business, not SQLite's."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # its companions take on this mode
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512, timeout=5.0)
    try:
        for pragma in (
            "busy_timeout=5000", "journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=0",
            f"cache_size=-{_CACHE_KIB}", "temp_store=MEMORY", "cell_size_check=ON",
        ):  # fmt: skip
            db.execute(f"PRAGMA {pragma}").fetchall()
    except BaseException:
        db.close()
        raise
    return db


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, nor checkpoint."""
    db = sqlite3.connect(
        f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False, timeout=5.0
    )
    db.execute("PRAGMA query_only=ON")
    db.execute("PRAGMA cache_size=-4096")
    return db
