"""The server of this home, as a process of this machine."""

import fcntl
import os
import select
from pathlib import Path

import msgspec

from freehold.core.home import Home


class ServerFile(msgspec.Struct):
    """What a running server says of itself in its home."""

    pid: int
    url: str
    version: str = ""
    protocol: int = 0
    started: float = 0.0
    id: str = ""


def find(home: Home) -> ServerFile | None:
    """Return the server that runs in this home; None when there is none, or only the file of one that died."""
    try:
        server = msgspec.json.decode(home.server_file.read_bytes(), type=ServerFile)
    except (OSError, msgspec.DecodeError):
        return None
    return server if held(home) and _alive(server.pid) else None


def _alive(pid: int) -> bool:
    """Tell whether this process runs; one that was killed may hold the home for a moment longer."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def held(home: Home) -> bool:
    """Tell whether a process holds the home; a pid alone may belong to another process by now."""
    try:
        with home.lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def wait_gone(pid: int, timeout_s: float) -> bool:
    """Wait until a process that is not our child has ended."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], timeout_s)[0])
    finally:
        os.close(fd)
