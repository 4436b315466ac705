"""Who listens on a TCP port of this machine's loopback, as the kernel tells it: a port that is open need not be the one that was meant."""

import contextlib
import os
from pathlib import Path

_LISTENS = "0A"
# 127.0.0.1 and every address, as the kernel writes them: IPv4, IPv6, and IPv4 in IPv6
_LOOPBACK = frozenset({"0100007F", "0" * 8, "0" * 32, "0000000000000000FFFF00000100007F"})


class Owned:
    """Ports that lead to a process or to what it started. What was found out holds for as long as the same sockets listen."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._known = dict[int, set[str]]()

    def leads_to(self, port: int) -> bool:
        """Whether nobody else would take a connection to 127.0.0.1:`port`; False when nobody at all would."""
        sockets = _sockets(port)
        if not sockets:
            return False
        if self._known.get(port) != sockets:
            pids = _pids(sockets)
            if not all(any(_within(pid, self._root) for pid in pids[s]) for s in sockets):
                return False
            self._known[port] = sockets
        return True


def holder(port: int) -> str | None:
    """Who would take a connection to 127.0.0.1:`port`, for a message; None when nobody would."""
    sockets = _sockets(port)
    if not sockets:
        return None
    pids = sorted({pid for some in _pids(sockets).values() for pid in some})
    return ", ".join(f"{_name(pid)} (process {pid})" for pid in pids) or "a process of another user"


def _within(pid: int, root: int) -> bool:
    while pid not in (root, 0):
        pid = _parent(pid)
    return pid == root


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return "?"


def _sockets(port: int) -> set[str]:
    """As links in /proc/PID/fd name them."""
    found = set[str]()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:  # a kernel without IPv6
            continue
        for fields in map(str.split, lines):
            address, _, number = fields[1].partition(":")
            if fields[3] == _LISTENS and int(number, 16) == port and address in _LOOPBACK:
                found.add(f"socket:[{fields[9]}]")
    return found


def _pids(sockets: set[str]) -> dict[str, set[int]]:
    """Who has them open; those of processes that this one may not look into have nobody."""
    found = {s: set[int]() for s in sockets}
    for folder in Path("/proc").glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):  # it ended, or is somebody else's
            for entry in os.scandir(folder):
                if (target := _target(entry.path)) in found:
                    found[target].add(int(folder.parent.name))
    return found


def _target(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 (a socket is no path)
    except OSError:
        return ""


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0
