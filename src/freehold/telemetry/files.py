"""Log files that are appended to and rotated by size: `x.jsonl`, and its older parts `x.jsonl.1` (newest) to `.N`."""

import os
from pathlib import Path


def parts(path: Path) -> list[Path]:
    """The files of the log at `path`, oldest first."""
    try:
        names = [p.name for p in path.parent.iterdir()]
    except FileNotFoundError:
        return []
    ends = [n[len(path.name) + 1 :] for n in names if n.startswith(path.name + ".")]
    old = [path.with_name(f"{path.name}.{n}") for n in sorted({int(e) for e in ends if e.isdigit()}, reverse=True)]
    return [*old, path] if path.name in names else old


class LogFile:
    """Appends to one log. One process writes a log, so sizes are known without asking."""

    def __init__(self, path: Path, *, max_bytes: int, keep: int) -> None:
        self.path = path
        self._max_bytes, self._keep = max_bytes, keep
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd, self.inode, self.size = self._open()

    def append(self, data: bytes) -> None:
        """Append whole lines; rotate before, when the file is full. OSError when the disk is; then nothing is appended."""
        if self.size and self.size + len(data) > self._max_bytes:
            self._rotate()
        done = 0
        try:
            while done < len(data):
                done += os.write(self._fd, data[done:] if done else data)
        except OSError:
            os.ftruncate(self._fd, self.size)
            raise
        self.size += done

    def sync(self) -> None:
        os.fdatasync(self._fd)

    def close(self) -> None:
        os.close(self._fd)

    def _open(self) -> tuple[int, int, int]:
        fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        stat = os.fstat(fd)
        return fd, stat.st_ino, stat.st_size

    def _rotate(self) -> None:
        """Move each part one on; the oldest goes. A crash between two moves leaves a gap in the numbers, and nothing else."""
        for path in parts(self.path):
            number = int(path.name[len(self.path.name) + 1 :] or 0)
            if number >= self._keep:
                path.unlink(missing_ok=True)
            else:
                path.rename(self.path.with_name(f"{self.path.name}.{number + 1}"))
        old = self._fd
        self._fd, self.inode, self.size = self._open()
        os.close(old)
