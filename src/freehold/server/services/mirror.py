"""A folder that holds what a bucket holds: what changed there is fetched, what changed here is stored.

What both sides had when they last agreed is kept beside the folder, so each side's changes are known. A file that was changed
here and is not stored yet wins over the bucket's. Paths are opened beneath the folder only, whatever links programs put into it.
"""

import asyncio
import contextlib
import json
import logging
import os
import shutil
import stat
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from freehold.core.errors import Error, ResourceExhaustedError
from freehold.server.services.beneath import folder, open_file, parts_of
from freehold.server.services.s3 import Bucket, Object
from freehold.server.services.uploads import disk_error

_log = logging.getLogger("freehold.buckets")
_AT_ONCE = 16
_SPARE_BYTES = 256 * 1024 * 1024  # left free on the disk
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class _Agreed:
    """One file as both sides had it."""

    etag: str
    bytes: int
    mtime_ns: int
    inode: int


class Mirror:
    """One bucket's folder. `refresh` and `store` take turns."""

    def __init__(self, home: Path, bucket: Bucket) -> None:
        self.bucket = bucket
        self.files = home / "files"
        self.refreshed = self.stored = float("-inf")  # when the last one began; monotonic
        self._scratch, self._record, self._since = home / "scratch", home / "agreed.json", home / "agreed.since"
        self._turn = asyncio.Lock()
        shutil.rmtree(self._scratch, ignore_errors=True)
        if not self.files.is_dir():  # removed by hand: no file of it is one that a program deleted
            self._record.unlink(missing_ok=True)
            self._since.unlink(missing_ok=True)
        for made in (self.files, self._scratch):
            made.mkdir(parents=True, exist_ok=True)
        self._agreed = _read(self._record, self._since)

    async def refresh(self, *, at_most_every_s: float = 0.0) -> None:
        """Make the folder as the bucket is, but for what was changed here and is not stored yet."""
        wanted_since = time.monotonic() - at_most_every_s
        if self.refreshed > wanted_since:
            return
        async with self._turn:
            if self.refreshed > wanted_since:  # another's listing began after we asked
                return
            begun = time.monotonic()
            there = {o.key: o for o in _usable(await self.bucket.objects(), str(self.bucket))}
            here = await asyncio.to_thread(_walk, self.files)
            wanted = [o for o in there.values() if self._outdated(o, here.get(o.key))]
            await self._check_room(wanted)
            gone = [k for k, a in self._agreed.items() if k not in there and _same(a, here.get(k))]
            try:
                await asyncio.to_thread(_remove, self.files, gone)
                for key in self._agreed.keys() - there.keys():
                    del self._agreed[key]  # what was changed here since is new to the bucket
                await _several(self._fetch(o) for o in wanted)
            finally:
                await asyncio.to_thread(self._save)
            self.refreshed = begun

    async def store(self, *, settled_s: float = 0.0) -> None:
        """Put what was changed here into the bucket, and delete there what was deleted here.

        With `settled_s`, a file has to be unchanged for so long: it may still be written.
        """
        asked = time.monotonic()
        async with self._turn:
            if self.stored > asked:  # another's look at the folder began after we asked
                return
            begun = time.monotonic()
            here = await asyncio.to_thread(_walk, self.files)
            before = time.time() - settled_s if settled_s else float("inf")
            changed = [key for key, s in here.items() if not _same(self._agreed.get(key), s) and s.st_mtime < before]
            gone = [key for key in self._agreed if key not in here]
            try:
                await _several(self._send(key) for key in changed)
                await _several(self._forget(key) for key in gone)
            finally:
                if changed or gone:
                    await asyncio.to_thread(self._save)
            if not settled_s:
                self.stored = begun

    # ---- one file

    def _outdated(self, there: Object, here: os.stat_result | None) -> bool:
        agreed = self._agreed.get(there.key)
        if agreed is None:
            return here is None
        return agreed.etag != there.etag and _same(agreed, here)

    async def _fetch(self, there: Object) -> None:
        draft = self._scratch / os.urandom(12).hex()
        try:
            with draft.open("xb", buffering=0) as file:
                async for piece in self.bucket.get(there.key):
                    await asyncio.to_thread(file.write, piece)
            placed = await asyncio.to_thread(_place, draft, self.files, there)
            self._note(there.key, _agreed(there.etag, placed))
        except Error as error:
            if error.code != "invalid_argument":
                raise
            _log.warning("object_left_out", extra={"bucket": str(self.bucket), "key": there.key, "error": str(error)})
        except OSError as error:
            raise disk_error(error, self.files) from error
        finally:
            draft.unlink(missing_ok=True)

    async def _send(self, key: str) -> None:
        try:
            descriptor = await asyncio.to_thread(open_file, self.files, parts_of(key), os.O_RDONLY | os.O_NOFOLLOW)
        except Error as error:  # gone meanwhile, or a name that no key can have
            if error.code != "not_found":
                _log.warning("file_left_out", extra={"bucket": str(self.bucket), "key": key, "error": str(error)})
            return
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            if stat.S_ISREG(found.st_mode):
                self._note(key, _agreed(await self.bucket.put(key, file), found))

    async def _forget(self, key: str) -> None:
        await self.bucket.delete(key)
        self._note(key, None)

    # ---- how

    def _note(self, key: str, agreed: _Agreed | None) -> None:
        """Both sides have this now. Written down at once: the server may be killed before the rest has come."""
        if agreed is None:
            self._agreed.pop(key, None)
        else:
            self._agreed[key] = agreed
        with self._since.open("a") as file:
            file.write(json.dumps([key, agreed and asdict(agreed)]) + "\n")

    async def _check_room(self, wanted: list[Object]) -> None:
        needed = sum(o.bytes for o in wanted)
        free = shutil.disk_usage(self.files).free
        if wanted and needed + _SPARE_BYTES > free:
            raise ResourceExhaustedError(
                f"{self.bucket}: {needed >> 20} MiB are to be fetched, and the disk that holds {self.files} has {free >> 20} MiB free: "
                "mount a part of it with key_prefix, or make room"
            )

    def _save(self) -> None:
        draft = self._record.with_suffix(".new")
        draft.write_text(json.dumps({key: asdict(a) for key, a in self._agreed.items()}))
        draft.replace(self._record)
        self._since.unlink(missing_ok=True)


def _usable(objects: list[Object], bucket: str) -> list[Object]:
    """Those that can be files: an object whose key is a folder of others stands for that folder."""
    folders = {str(parent) for o in objects for parent in Path(o.key).parents}
    left_out = [o.key for o in objects if o.key in folders and o.bytes]
    if left_out:
        _log.warning("objects_left_out", extra={"bucket": bucket, "keys": left_out[:_SHOWN], "count": len(left_out)})
    return [o for o in objects if o.key not in folders]


def _walk(root: Path) -> dict[str, os.stat_result]:
    """Regular files by key. No link is followed, and none is stored: a bucket has none."""
    found: dict[str, os.stat_result] = {}
    for path, _, names, descriptor in os.fwalk(root, follow_symlinks=False):
        base = os.path.relpath(path, root)
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    found[name if base == "." else f"{base}/{name}"] = status
    return found


def _same(agreed: _Agreed | None, here: os.stat_result | None) -> bool:
    if agreed is None or here is None:
        return False
    return (agreed.bytes, agreed.mtime_ns, agreed.inode) == (here.st_size, here.st_mtime_ns, here.st_ino)


def _agreed(etag: str, found: os.stat_result) -> _Agreed:
    return _Agreed(etag=etag, bytes=found.st_size, mtime_ns=found.st_mtime_ns, inode=found.st_ino)


def _place(draft: Path, root: Path, there: Object) -> os.stat_result:
    names = parts_of(there.key)
    draft.chmod(0o644)
    os.utime(draft, (there.modified, there.modified))
    with folder(root, names[:-1], create=True) as parent:
        try:
            os.replace(draft, names[-1], dst_dir_fd=parent)
        except IsADirectoryError:
            os.rmdir(names[-1], dir_fd=parent)  # an empty folder, which a bucket cannot have
            os.replace(draft, names[-1], dst_dir_fd=parent)
        return os.stat(names[-1], dir_fd=parent, follow_symlinks=False)


def _remove(root: Path, keys: list[str]) -> None:
    """Remove files, and the folders that they leave empty."""
    for key in keys:
        names = parts_of(key)
        with contextlib.suppress(Error, OSError):
            with folder(root, names[:-1]) as parent:
                os.unlink(names[-1], dir_fd=parent)
            for depth in range(len(names) - 1, 0, -1):
                with folder(root, names[: depth - 1]) as parent:
                    os.rmdir(names[depth - 1], dir_fd=parent)


def _read(path: Path, since: Path) -> dict[str, _Agreed]:
    """What was agreed when it was saved, and what was noted since."""
    try:
        found = {key: _Agreed(**a) for key, a in json.loads(path.read_text()).items()}
    except FileNotFoundError:
        found = {}
    except (ValueError, TypeError):
        _log.warning("bucket_record_damaged", extra={"path": str(path)})
        found = {}  # what is here is compared with the bucket again, and wins
    for line in since.read_text().splitlines() if since.exists() else ():
        with contextlib.suppress(ValueError, TypeError):  # the last one may be half a line
            key, agreed = json.loads(line)
            found.pop(key, None)
            found |= {key: _Agreed(**agreed)} if agreed else {}
    return found


async def _several(work: "Iterable[object]") -> None:
    """Run coroutines, so many at once; the first failure is raised when all have ended."""
    limit = asyncio.Semaphore(_AT_ONCE)

    async def one(each: object) -> None:
        async with limit:
            await each  # type: ignore[misc]

    ended = await asyncio.gather(*(one(w) for w in work), return_exceptions=True)
    for error in ended:
        if isinstance(error, BaseException):
            raise error
