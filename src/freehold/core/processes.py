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


def open_standard_streams() -> None:
    """Point those of descriptors 0 to 2 that are closed at /dev/null: else a socket gets the number, and libuv aborts over it."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
