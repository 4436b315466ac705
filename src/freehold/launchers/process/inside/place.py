"""Puts local files where a step of an image wants them.

    python -I -S -B place.py SOURCE REMOTE [PATTERN ...]

Run in the image's own view, where its links and layers are what they are to programs; or used as it is where there is none.
Without patterns all of SOURCE goes into the folder REMOTE; else what they name, as COPY of a Dockerfile places it.
"""

import os
import shutil
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path


def place(source: Path, remote: str, patterns: Sequence[str], at: Callable[[str], Path] = Path) -> None:
    """`at` says where a path of the image lies."""
    if not patterns:
        _lay(source, at(remote))
        return
    many = len(patterns) > 1 or remote.endswith("/") or any(c in p for p in patterns for c in "*?[")
    for found in [p for pattern in patterns for p in _matching(source, pattern)]:
        inside = f"{remote.rstrip('/')}/{found.name}" if found.is_file() and many else remote
        _lay(found, at(inside))


def _matching(context: Path, pattern: str) -> list[Path]:
    """What a source of COPY names in the context."""
    plain = os.path.normpath(pattern.lstrip("/") or ".")
    found = [context] if plain == "." else sorted(context.glob(plain))
    if not found:
        raise FileNotFoundError(f"COPY {pattern}: there is no such file in the build's context")
    return found


def _lay(source: Path, target: Path) -> None:
    if not source.is_dir():
        folder = target.parent.resolve()  # links may lead to what is not there yet
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, folder / target.name)
        return
    target = target.resolve()
    mode = stat.S_IMODE(target.stat().st_mode) if target.is_dir() else None
    shutil.copytree(source, target, dirs_exist_ok=True, symlinks=True)
    if mode is not None:  # a folder that was there stays as it was
        target.chmod(mode)


if __name__ == "__main__":
    try:
        place(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
    except (OSError, shutil.Error) as error:
        sys.exit(str(error))
