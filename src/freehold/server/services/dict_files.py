"""Large values of dicts, a file each: `<root>/<dict>/<file>`. A file is staged, then an entry names it, then it is replaced and goes.

It goes some minutes later, so that who was told of it can still fetch it.
"""

import os
import re
import shutil
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from pathlib import Path
from typing import BinaryIO

from freehold.core.clock import Clock
from freehold.core.errors import InvalidError, NotFoundError, RequestSizeError
from freehold.core.limits import DICT_VALUE_BYTES
from freehold.server.services.uploads import disk_error, receive

_FILE = re.compile(r"[0-9a-f]{32}")
STAGED_S, BURIED_S = 3600.0, 600.0


class DictFiles:
    """Which files wait to be named, and which to go; those that entries name, the store knows."""

    def __init__(self, root: Path, clock: Clock) -> None:
        self._root, self._clock = root, clock
        self._staged: dict[tuple[str, str], float] = {}
        self._buried: deque[tuple[float, str, str]] = deque()

    def open(self, known: Iterable[tuple[str, str]]) -> None:
        """Make the folder, and drop files that no entry names."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept = set(known)
        for folder in self._root.iterdir():
            for file in folder.iterdir():
                if (folder.name, file.name) not in kept:
                    file.unlink(missing_ok=True)
            if not any(folder.iterdir()):
                folder.rmdir()

    async def stage(self, dict_id: str, stream: AsyncIterable[bytes]) -> str:
        """Keep a value until an entry names its file."""
        folder, file = self._root / dict_id, os.urandom(16).hex()
        upload = await receive(_limited(stream), folder)
        try:
            upload.path.rename(folder / file)
            _sync(folder)
        except OSError as error:
            upload.discard()
            raise disk_error(error, folder) from error
        self._staged[dict_id, file] = self._clock.now()
        return file

    def claim(self, dict_id: str, files: Iterable[str]) -> None:
        """An entry is about to name these. InvalidError for one that was not staged, or is named already."""
        for file in files:
            if self._staged.pop((dict_id, file), None) is None:
                raise InvalidError(
                    f"file {file[:100]!r} stands for no value that was sent to this dict within the hour; send it with POST /v1/dicts/{dict_id}/values"
                )

    def bury(self, dict_id: str, files: Iterable[str]) -> None:
        """No entry names these any more."""
        now = self._clock.now()
        self._buried.extend((now, dict_id, file) for file in files)

    def open_read(self, dict_id: str, file: str) -> BinaryIO:
        if not _FILE.fullmatch(file):
            raise InvalidError(f"{file[:100]!r} is no file of a dict; those have 32 hex digits")
        try:
            return (self._root / dict_id / file).open("rb")
        except FileNotFoundError:
            raise NotFoundError(
                f"the value in file {file} of {dict_id} was replaced or deleted; ask for its key again"
            ) from None

    def remove(self, dict_id: str) -> None:
        """All files of a dict that is no more."""
        shutil.rmtree(self._root / dict_id, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what was buried long enough ago, and what nobody named."""
        now = self._clock.now()
        for (dict_id, file), since in list(self._staged.items()):
            # an entry may claim it meanwhile: this runs beside the loop
            if now - since > STAGED_S and self._staged.pop((dict_id, file), None) is not None:
                self.bury(dict_id, [file])
        while self._buried and now - self._buried[0][0] > BURIED_S:
            _, dict_id, file = self._buried.popleft()
            (self._root / dict_id / file).unlink(missing_ok=True)


async def _limited(stream: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    size = 0
    async for part in stream:
        size += len(part)
        if size > DICT_VALUE_BYTES:
            raise RequestSizeError(
                f"the value is over the limit of {DICT_VALUE_BYTES:,} bytes of a dict's value; put it into a volume as a file"
            )
        yield part


def _sync(folder: Path) -> None:
    for one in (folder, folder.parent):  # its own entry too, the first time
        fd = os.open(one, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
