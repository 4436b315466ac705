"""Large results that must outlive the process that made them: from shared memory to the blob store."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import msgspec

from freehold.protocol.frames import Buffer, Payload

_CHUNK = 4 * 2**20


class Blobs(Protocol):
    async def put(self, stream: AsyncIterator[bytes], digest: str) -> int: ...


class LargeResults:
    """Copies the arena buffers of a payload into blobs."""

    def __init__(self, arena: Path, blobs: Blobs) -> None:
        self._arena, self._blobs = arena, blobs

    async def keep(self, payload: Payload) -> Payload:
        """The same payload with its buffers by digest."""
        buffers = [await self._kept(b) if b.kind == "arena" else b for b in payload.buffers]
        return msgspec.structs.replace(payload, buffers=tuple(buffers))

    async def _kept(self, buffer: Buffer) -> Buffer:
        path = self._arena / Path(buffer.segment).name
        digest = await asyncio.to_thread(_digest, path, buffer.size)
        await self._blobs.put(_chunks(path, buffer.size), digest)
        return Buffer("blob", segment=digest, size=buffer.size)


def _digest(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        left = size
        while left and (chunk := file.read(min(_CHUNK, left))):
            digest.update(chunk)
            left -= len(chunk)
    return digest.hexdigest()


async def _chunks(path: Path, size: int) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        left = size
        while left and (chunk := file.read(min(_CHUNK, left))):
            left -= len(chunk)
            yield chunk
