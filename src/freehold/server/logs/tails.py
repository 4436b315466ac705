"""One instance's raw file, read piece by piece; what was collected gives its disk space back."""

import ctypes
import errno
import logging
import os
from pathlib import Path

from freehold.server.logs.raw import MAX_RECORD_BYTES, Encoder, split
from freehold.server.logs.words import LogSource

_log = logging.getLogger("freehold.logs")
READ_BYTES = MAX_RECORD_BYTES + 1  # so that a full read can always be taken, at least in part
PUNCH_BYTES = 8 * 1024 * 1024
_KEEP_SIZE, _PUNCH_HOLE, _PAGE = 1, 2, 4096
_libc = ctypes.CDLL(None, use_errno=True)
_fallocate = getattr(_libc, "fallocate64", None) or _libc.fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


class Tail:
    """Reads on from `offset`, which is where the last collected line ended."""

    def __init__(self, instance: str, path: Path, source: LogSource, offset: int) -> None:
        self.instance, self.path, self.source, self.offset = instance, path, source, offset
        self.ended = False
        self.troubled = False  # the last try failed, and was told
        self.encoder = Encoder(instance, source)
        self._fd: int | None = None
        self._punched = offset

    def read(self) -> bytes:
        """What there is now and can be taken: whole lines, and the rest too once the instance has ended."""
        if self._fd is None and not self._open():
            return b""
        assert self._fd is not None
        data = os.pread(self._fd, READ_BYTES, self.offset)
        if not data:
            self.offset = min(self.offset, os.fstat(self._fd).st_size)  # its own program cut it short
            return b""
        if data.startswith(b"\0") and (skipped := self._skip_hole(self._fd)):
            self.offset = skipped
            data = os.pread(self._fd, READ_BYTES, self.offset)
        final = self.ended and len(data) < READ_BYTES
        return data[: split(data, final=final)]

    def written(self) -> int:
        """How far the raw file reaches now."""
        if self._fd is None and not self._open():
            return 0
        assert self._fd is not None
        return os.fstat(self._fd).st_size

    def taken(self, end: int) -> bool:
        """Go on from `end`; true when there is enough behind it to be given back."""
        self.offset = end
        return end - self._punched >= PUNCH_BYTES

    def punch(self) -> None:
        """Give back the disk space of what was collected; the file keeps its offsets."""
        upto = self.offset // _PAGE * _PAGE
        start, self._punched = self._punched // _PAGE * _PAGE, self.offset
        if self._fd is None or upto <= start:
            return
        failed = _fallocate(self._fd, _PUNCH_HOLE | _KEEP_SIZE, start, upto - start) != 0
        if failed and (code := ctypes.get_errno()) not in (errno.EOPNOTSUPP, errno.ENOSYS):
            _log.warning("hole_not_punched", extra={"instance": self.instance, "error": os.strerror(code)})

    def close(self, *, delete: bool) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)
        if delete:
            self.path.unlink(missing_ok=True)

    def _open(self) -> bool:
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        return True

    def _skip_hole(self, fd: int) -> int:
        """Past what an earlier server collected and punched, when its log is gone meanwhile."""
        try:
            return os.lseek(fd, self.offset, os.SEEK_DATA)
        except OSError:  # a hole to the end of the file, or a file system without holes
            return 0
