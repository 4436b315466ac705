"""One server a home: the lock, the token, the key, the file that tells clients where the server is."""

import contextlib
import fcntl
import json
import os
import secrets
import tempfile
import time
from pathlib import Path
from typing import IO, Any

from freehold.core.errors import ConflictError
from freehold.core.home import Home, make_private, unusable
from freehold.core.processes import alive

_DYING_S = 5.0


def claim(home: Home) -> IO[str]:
    """Make the home's folders and take its lock; ConflictError when another server has it."""
    for folder in (home.root, home.run, home.logs, home.instances, home.arena):
        make_private(folder)
    try:
        return _lock(home)
    except OSError as error:
        raise unusable(error, home.lock) from error


def secret_file(path: Path, make: bytes) -> bytes:
    """Read a secret that only this user can read; made on first use, whole or not at all."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes().strip()
    fd, scratch = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # 0600
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(make)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(scratch, path)
    finally:
        Path(scratch).unlink()
    return path.read_bytes().strip()


def token(home: Home) -> str:
    """The platform's token; FREEHOLD_TOKEN is the client's way to name another server's."""
    return secret_file(home.token, secrets.token_urlsafe(32).encode()).decode()


def announce(home: Home, facts: dict[str, Any]) -> None:
    """Tell clients of this home where the server is."""
    scratch = home.server_file.with_suffix(".tmp")
    scratch.write_text(json.dumps(facts))
    scratch.rename(home.server_file)


def _lock(home: Home) -> IO[str]:
    lock = os.fdopen(os.open(home.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
    deadline = time.monotonic() + _DYING_S
    while not _locked(lock):
        owner = _owner(lock)
        if alive(owner) or time.monotonic() > deadline:
            lock.close()
            raise ConflictError(
                f"another server (pid {owner or 'unknown'}) runs with home {home.root}; stop it with `freehold down`, "
                "or set FREEHOLD_HOME to another folder"
            )
        time.sleep(0.02)  # it was killed, and is not quite gone
    lock.seek(0)
    lock.write(f"{os.getpid()}\n")  # over the last one: whoever reads it meanwhile finds a pid
    lock.flush()
    lock.truncate()
    return lock


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(lock: IO[str]) -> int:
    lock.seek(0)
    text = lock.readline().strip()
    return int(text) if text.isdigit() else 0
