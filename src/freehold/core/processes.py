"""Processes of this machine: whether one runs, and what this one starts with."""

import os
from pathlib import Path


def alive(pid: int) -> bool:
    """Tell whether this process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in "ZX"


def has_children(pid: int) -> bool:
    """Tell whether this process has started others that run, or that nobody has waited for."""
    return any(_parent(stat) == pid for stat in Path("/proc").glob("[0-9]*/stat"))


def _parent(stat: Path) -> int:
    try:
        return int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
    except (OSError, IndexError):  # it ended meanwhile
        return 0


def open_standard_streams() -> None:
    """Point those of descriptors 0 to 2 that are closed at /dev/null: else a socket gets the number, and libuv aborts over it."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
