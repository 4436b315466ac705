"""Buckets that functions mount: one mirror a bucket, prefix and secret, shared by all instances that mount it."""

import asyncio
import contextlib
import hashlib
import importlib.util
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from freehold.core.errors import NotFoundError, UnimplementedError
from freehold.core.specs import BucketMount, SecretRef
from freehold.server.services.mirror import Mirror
from freehold.server.services.s3 import Bucket, check_secret

_log = logging.getLogger("freehold.buckets")
SWEEP_S = 10.0
_REFRESH_S = 5.0
_LAST_STORE_S = 60.0


class Secrets(Protocol):
    async def values(self, workspace: str, ref: str) -> dict[str, str]: ...
    async def admit(self, workspace: str, ref: SecretRef, where: str) -> SecretRef: ...


class Buckets:
    """What is mounted by whom."""

    def __init__(self, root: Path, secrets: Secrets) -> None:
        self._root, self._secrets = root, secrets
        self._mirrors: dict[str, Mirror] = {}
        self._mounts: dict[
            str, list[tuple[Mirror, bool]]
        ] = {}  # by instance: what it has, and whether it may write to it
        self._last: set[asyncio.Task[None]] = set()

    async def admit(self, workspace: str, mount: BucketMount, where: str) -> BucketMount:
        """The mount as it may be kept, its secret sealed."""
        if importlib.util.find_spec("obstore") is None:
            raise UnimplementedError(
                f"{where}: buckets need obstore beside the server: `pip install obstore`, then start it again"
            )
        if mount.secret is None:
            return mount
        secret = await self._secrets.admit(workspace, mount.secret, where)
        check_secret(mount, await self._values(workspace, secret), where)
        return replace(mount, secret=secret)

    async def attach(
        self, workspace: str, instance: str, mounts: Sequence[BucketMount]
    ) -> list[tuple[Path, str, bool]]:
        """Folders as the buckets are now: where they lie, where the instance sees them, whether it may only read."""
        found: list[tuple[Path, str, bool]] = []
        for mount in mounts:
            mirror = await self._mirror(workspace, mount)
            await mirror.refresh()
            self._mounts.setdefault(instance, []).append((mirror, not mount.read_only))
            found.append((mirror.files, mount.path, mount.read_only))
        return found

    async def refresh(self, instance: str) -> None:
        """An input begins: it sees the buckets as they are now, or were a few seconds ago."""
        for mirror, _ in self._of(instance):
            await mirror.refresh(at_most_every_s=_REFRESH_S)

    async def store(self, instance: str) -> None:
        """An input has ended: what it wrote goes to the buckets."""
        for mirror, writes in self._of(instance):
            if writes:
                await mirror.store()

    def release(self, instance: str) -> None:
        """An instance is gone: what it left goes to the buckets too."""
        for mirror, writes in self._mounts.pop(instance, []):
            if writes:
                task = asyncio.get_running_loop().create_task(_store(mirror, 0.0))
                self._last.add(task)
                task.add_done_callback(self._last.discard)

    async def keep_stored(self) -> None:
        """For inputs that run long, and for servers that never end: every few seconds, what is no longer written goes."""
        while True:
            await asyncio.sleep(SWEEP_S)
            written = {mirror for mounts in self._mounts.values() for mirror, writes in mounts if writes}
            for mirror in written:
                await _store(mirror, SWEEP_S)

    async def close(self) -> None:
        """Wait, for a while, until what instances left is stored."""
        if self._last:
            await asyncio.wait(self._last, timeout=_LAST_STORE_S)

    # ---- ours

    def _of(self, instance: str) -> list[tuple[Mirror, bool]]:
        if instance not in self._mounts:
            raise NotFoundError(f"instance {instance!r} has no bucket mounted")
        return self._mounts[instance]

    async def _mirror(self, workspace: str, mount: BucketMount) -> Mirror:
        values = await self._values(workspace, mount.secret)
        bucket = Bucket(mount, values)
        secret = "" if mount.secret is None else mount.secret.sealed or mount.secret.name or ""
        words = (workspace, bucket.endpoint, mount.bucket, mount.prefix or "", secret)
        key = hashlib.sha256("\0".join(words).encode()).hexdigest()[:24]
        mirror = self._mirrors.get(key)
        if mirror is None:
            mirror = self._mirrors[key] = Mirror(self._root / key, bucket)  # without a pause, so that there is one
        mirror.bucket = bucket  # its secret may have got other values
        return mirror

    async def _values(self, workspace: str, secret: SecretRef | None) -> dict[str, str]:
        return {} if secret is None else await self._secrets.values(workspace, secret.sealed or secret.name or "")


async def _store(mirror: Mirror, settled_s: float) -> None:
    """Store with nobody there to be told of a failure; it is tried again with what changes next."""
    begun = time.monotonic()
    try:
        await mirror.store(settled_s=settled_s)
    except Exception as error:  # noqa: BLE001 (the edge of the loop that stores what nobody waits for)
        took = round(time.monotonic() - begun, 3)
        _log.error("bucket_not_stored", extra={"bucket": str(mirror.bucket), "error": str(error), "seconds": took})
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(0)
