"""Shared memory for large buffers between processes of one machine: files in /dev/shm, pooled by their owner.

A sender writes a buffer into a segment that it owns and sends the segment's name. The receiver maps it and sees the bytes
without a copy. The owner uses a segment again when the receiver has said that nobody looks at it any more.
Names are `{owner}.{number}`, so that the server knows whose they are and can sweep what a dead owner left.
"""

import contextlib
import glob
import mmap
import os
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path

from freehold.core.errors import DataLossError
from freehold.protocol.frames import Buffer

MIN_BYTES = 256 * 1024  # smaller buffers go inline
_POOL_BYTES = 512 * 2**20  # free segments kept for use again
_PAGE = mmap.PAGESIZE


class Segment:
    """One file of shared memory, mapped for writing by its owner."""

    def __init__(self, folder: Path, name: str, size: int) -> None:
        self.name, self.size = name, size
        self._path = folder / name
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, size)  # a full /dev/shm is an OSError here, not a SIGBUS later
            self.map = mmap.mmap(fd, size)
        except BaseException:
            self._path.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)

    def unlink(self) -> None:
        self._path.unlink(missing_ok=True)
        with contextlib.suppress(BufferError):
            self.map.close()


class Arena:
    """The segments that one process owns, and its views of others'. Safe to use from several threads."""

    def __init__(self, folder: str | Path, owner: str) -> None:
        self.folder, self.owner = Path(folder), owner
        self._lock = threading.Lock()
        self._number = 0
        self._free: list[Segment] = []
        self._used: dict[str, Segment] = {}
        self._views: dict[str, mmap.mmap] = {}

    # ---- sending

    def put(self, data: memoryview) -> Buffer:
        """Copy `data` into a segment of ours."""
        flat = data.cast("B") if data.ndim != 1 or data.format != "B" else data
        segment = self._take(flat.nbytes)
        segment.map[: flat.nbytes] = flat
        return Buffer("arena", segment=segment.name, size=flat.nbytes)

    def release(self, names: Iterable[str], kept: Iterable[str] = ()) -> None:
        """Our segments `names` came back; those in `kept` are still looked at, so their memory is given up to the viewer."""
        held = set(kept)
        with self._lock:
            for name in names:
                segment = self._used.pop(name, None)
                if segment is None:
                    continue
                if name in held or sum(s.size for s in self._free) + segment.size > _POOL_BYTES:
                    segment.unlink()
                else:
                    self._free.append(segment)

    def _take(self, size: int) -> Segment:
        with self._lock:
            fitting = [s for s in self._free if size <= s.size <= 2 * size + _PAGE]
            if fitting:
                segment = min(fitting, key=lambda s: s.size)
                self._free.remove(segment)
            else:
                self._number += 1
                segment = Segment(self.folder, f"{self.owner}.{os.getpid()}-{self._number}", -(-size // _PAGE) * _PAGE)
            self._used[segment.name] = segment
            return segment

    # ---- receiving

    def view(self, buffer: Buffer) -> memoryview:
        """Look at a buffer in somebody else's segment (or ours), without a copy; writable, and private to the receiver by protocol."""
        name = buffer.segment
        if "/" in name or name.startswith("."):
            raise DataLossError(f"arena segment {name!r} is not a name")
        with self._lock:
            mapped = self._views.get(name)
            if mapped is None:
                mapped = self._views[name] = self._map(name)
        return memoryview(mapped)[buffer.offset : buffer.offset + buffer.size]

    def _map(self, name: str) -> mmap.mmap:
        try:
            fd = os.open(self.folder / name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise DataLossError(f"arena segment {name!r} is gone: its owner ended") from error
        try:
            return mmap.mmap(fd, 0, flags=mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0))
        finally:
            os.close(fd)

    def held(self, names: Iterable[str]) -> list[str]:
        """Those of these views that something still looks at. The mappings of the others are kept for the next use."""
        with self._lock:
            return [n for n in names if n in self._views and _exported(self._views[n])]

    def drop(self, names: Iterable[str]) -> None:
        """Forget mappings; whoever still looks at one keeps it alive."""
        with self._lock:
            for name in names:
                self._views.pop(name, None)

    def close(self) -> None:
        """Give everything of ours back to the system."""
        with self._lock:
            for segment in [*self._free, *self._used.values()]:
                segment.unlink()
            self._free, self._used = [], {}


def _exported(mapped: mmap.mmap) -> bool:
    """Tell whether memoryviews of this mapping are alive: only then resizing it to its own size is refused."""
    try:
        mapped.resize(len(mapped))
    except BufferError:
        return True
    except (OSError, SystemError, ValueError):
        return False
    return False


def remove(folder: Path) -> None:
    """Remove an arena with all its segments; views that are open stay valid."""
    shutil.rmtree(folder, ignore_errors=True)


def sweep(folder: str | Path, owner: str) -> None:
    """Remove the segments of `owner`; views that are open stay valid. Without an arena ("") there are none."""
    if not folder:
        return
    for path in Path(folder).glob(f"{glob.escape(owner)}.*"):
        path.unlink(missing_ok=True)
