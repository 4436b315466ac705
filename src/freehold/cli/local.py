"""The server of this home, as a process of this machine."""

import fcntl
import os
import select
from typing import BinaryIO

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
    """Return the server that runs in this home; None when there is none, or one that starts, ends, or died."""
    try:
        server = msgspec.json.decode(home.server_file.read_bytes(), type=ServerFile)
    except (OSError, msgspec.DecodeError):
        return None
    return server if server.pid == holder(home) else None


def holder(home: Home) -> int | None:
    """Return the pid of the server that holds this home, one that starts or ends too; a pid alone may be another process by now."""
    try:
        with home.lock.open("rb") as file:
            if not _locked(file):
                return None
            pid = file.readline().strip()
    except OSError:
        return None
    return int(pid) if pid.isdigit() and alive(int(pid)) else None


def _locked(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
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
