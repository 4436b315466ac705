"""Shared memory that a process left behind: an orderly end leaves nothing in the arena, a kill does."""

from pathlib import Path


def sweep(arena: str, owner: str) -> None:
    """Remove the segments of `owner`; views that are open stay valid."""
    folder = Path(arena)
    if arena and folder.is_dir():
        for path in folder.glob(f"{owner}.*"):
            path.unlink(missing_ok=True)
