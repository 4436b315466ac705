"""The high-water mark: a small file beside the database that says how many groups were committed to it.

A database that lost its write-ahead log, or was cut short, opens without complaint and with rows missing; the mark tells.
"""

import os
from pathlib import Path
from zlib import crc32

from freehold.core.errors import DataLossError

_LENGTH = 64


class Mark:
    """Written after each commit, never ahead of it; so a power cut can only make it older than the database."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None
        self._database = ""

    def check(self, database: str, sequence: int) -> None:
        """Raise DataLossError when the database is not the one marked, or is behind; then go on marking."""
        found = self.read()
        fix = f"restore a backup, or delete {self._path} to go on with what is left"
        if found is not None and found[0] != database:
            msg = f"the database is another one ({database}) than the one last used here ({found[0]}): {fix}"
            raise DataLossError(msg)
        if found is not None and found[1] > sequence:
            msg = f"the database has lost its last {found[1] - sequence} commits, of {found[1]}: {fix}"
            raise DataLossError(msg)
        self._database = database
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.write(sequence)

    def read(self) -> tuple[str, int] | None:
        """Database and sequence; None when there is no mark or it cannot be read."""
        try:
            text, _, crc = self._path.read_text().strip().rpartition(" ")
            database, sequence = text.split(" ")
            return (database, int(sequence)) if int(crc, 16) == crc32(text.encode()) else None
        except (FileNotFoundError, ValueError):
            return None

    def write(self, sequence: int) -> None:
        if self._fd is not None:
            text = f"{self._database} {sequence}"
            os.pwrite(self._fd, f"{text} {crc32(text.encode()):08x}".ljust(_LENGTH - 1).encode() + b"\n", 0)

    def close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)
