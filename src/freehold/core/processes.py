"""Processes of this machine, by their ids."""

from pathlib import Path


def alive(pid: int) -> bool:
    """Tell whether this process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in "ZX"
