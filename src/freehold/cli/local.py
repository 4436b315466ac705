"""The server of this home, as a process of this machine."""

import fcntl
import os
import select

import msgspec

from freehold.core.home import Home
from freehold.core.processes import alive


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
    return server if held(home) and alive(server.pid) else None


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
