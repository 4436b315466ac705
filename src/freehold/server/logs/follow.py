"""Following one log by reading on in its files, so that nothing is missed or doubled."""

import os
from pathlib import Path

from freehold.server.logs.files import open_part
from freehold.telemetry.files import parts

_BLOCK = 1024 * 1024


class Cursor:
    """A place in a log. The open descriptor stays with its part when that is rotated away."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None
        self._at = 0
        self._rest = b""

    def to_end(self) -> tuple[int, int] | None:
        """Stand behind the last whole line: inode and offset of that; None when there is no file yet."""
        self._fd = open_part(self._path)
        if self._fd is None:
            return None
        stat = os.fstat(self._fd)
        self._at = stat.st_size
        tail = os.pread(self._fd, _BLOCK, max(0, self._at - _BLOCK))
        self._rest = tail[tail.rfind(b"\n") + 1 :]
        return stat.st_ino, self._at - len(self._rest)

    def read(self) -> list[bytes]:
        """Whole lines of the next block; none when nothing is there now."""
        if self._fd is None:
            self._fd = next((fd for part in parts(self._path) if (fd := open_part(part)) is not None), None)
        while self._fd is not None:
            if lines := self._read_block(self._fd):
                return lines
            following = self._open_following(self._fd)
            if following is None:
                return []
            lines = self._read_block(self._fd)  # written between that read and the rotation
            self.close()
            self._fd = following
            if lines:
                return lines
        return []

    def close(self) -> None:
        fd, self._fd = self._fd, None
        self._at, self._rest = 0, b""
        if fd is not None:
            os.close(fd)

    def _read_block(self, fd: int) -> list[bytes]:
        while block := os.pread(fd, _BLOCK, self._at):
            self._at += len(block)
            *lines, self._rest = (self._rest + block).split(b"\n")
            if lines:
                return lines
        return []

    def _open_following(self, fd: int) -> int | None:
        """The part after the one that is open; None when that is the newest."""
        own = os.fstat(fd).st_ino
        try:
            if self._path.stat().st_ino == own:
                return None
            files = parts(self._path)
            inodes = [p.stat().st_ino for p in files]
        except FileNotFoundError:  # renamed while we looked: next time
            return None
        place = inodes.index(own) + 1 if own in inodes else 0  # 0: ours fell off the end
        if place >= len(files) or (following := open_part(files[place])) is None:
            return None
        if os.fstat(following).st_ino != inodes[place]:
            os.close(following)
            return None
        return following
