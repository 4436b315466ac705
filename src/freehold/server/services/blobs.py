"""Blobs: bytes by their sha256, in the home's folder. Whole or not there."""

import asyncio
import os
import re
from collections.abc import AsyncIterable
from pathlib import Path
from typing import BinaryIO

from freehold.core.errors import InvalidError, NotFoundError
from freehold.server.services.uploads import disk_error, receive

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """The blob store of one home."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._uploads = root / "uploads"

    def open(self) -> None:
        """Make the folder, and drop what interrupted uploads have left."""
        self._uploads.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in self._uploads.iterdir():
            left.unlink(missing_ok=True)

    def path(self, digest: str) -> Path:
        """Where a blob lies, or would. Raises InvalidError for what is no digest."""
        if not _DIGEST.fullmatch(digest):
            msg = f"{digest[:100]!r} is no digest; a blob's name is the sha256 of its bytes, 64 lower-case hex digits"
            raise InvalidError(msg)
        return self._root / digest[:2] / digest

    def has(self, digest: str) -> bool:
        return self.path(digest).is_file()

    def missing(self, digests: list[str]) -> list[str]:
        return [d for d in dict.fromkeys(digests) if not self.has(d)]

    def open_read(self, digest: str) -> BinaryIO:
        try:
            return self.path(digest).open("rb")
        except FileNotFoundError:
            msg = f"no blob {digest!r}; send it with PUT /v1/blobs/{digest}"
            raise NotFoundError(msg) from None

    async def put(self, stream: AsyncIterable[bytes], digest: str) -> int:
        """Store `stream` under `digest` and return its size. InvalidError when its bytes have another digest."""
        path = self.path(digest)
        upload = await receive(stream, self._uploads)
        if upload.sha256 != digest:
            upload.discard()
            msg = f"the {upload.bytes} bytes sent have the digest {upload.sha256}, not {digest}; nothing was stored"
            raise InvalidError(msg)
        try:
            await asyncio.to_thread(_place, upload.path, path)
        except OSError as error:
            upload.discard()
            raise disk_error(error, self._root) from error
        return upload.bytes


def _place(source: Path, path: Path) -> None:
    path.parent.mkdir(exist_ok=True, mode=0o700)
    source.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
