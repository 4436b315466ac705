"""Large results that must outlive the process that made them: from shared memory, or the frame, to the blob store."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import msgspec

from freehold.protocol.frames import Buffer, Payload

_CHUNK = 4 * 2**20
_BLOB_BYTES = 2**20  # smaller pieces stay in the payload


class Blobs(Protocol):
    async def put(self, stream: AsyncIterator[bytes], digest: str) -> int: ...


class LargeResults:
    """Copies the large pieces of a payload into blobs."""

    def __init__(self, arena: Path, blobs: Blobs) -> None:
        self._arena, self._blobs = arena, blobs

    async def keep(self, payload: Payload) -> Payload:
        """The same payload with its large pieces by digest."""
        kept = msgspec.structs.replace(payload, buffers=tuple([await self._kept(b) for b in payload.buffers]))
        if len(payload.data) < _BLOB_BYTES:
            return kept
        return msgspec.structs.replace(kept, data=b"", blob=await self._stored(payload.data))

    async def _kept(self, buffer: Buffer) -> Buffer:
        if buffer.kind == "inline" and len(buffer.data) >= _BLOB_BYTES:
            return Buffer("blob", segment=await self._stored(buffer.data), size=buffer.size)
        if buffer.kind != "arena":
            return buffer
        path = self._arena / Path(buffer.segment).name
        digest = await asyncio.to_thread(_digest, path, buffer.size)
        await self._blobs.put(_chunks(path, buffer.size), digest)
        return Buffer("blob", segment=digest, size=buffer.size)

    async def _stored(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        await self._blobs.put(_whole(data), digest)
        return digest


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


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    yield data
