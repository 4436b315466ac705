"""Carries large pieces of payloads beside the link: in shared memory on one machine, else as blobs.

Segments of ours are free again when the input they hold is answered; those of an instance are released to it when nothing
here looks at them any more.
"""

import ctypes
import hashlib
import io
import weakref
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Any

import msgspec

from freehold.protocol import schemas
from freehold.protocol.arena import MIN_BYTES, Arena
from freehold.protocol.frames import Buffer, Input, Payload
from freehold.sdk.http import Api

BLOB_BYTES = 1 << 20
_FRAME_BYTES = 32 << 20  # what a frame on one machine holds at most of a single value
_MAPPED = 16  # mappings of others' segments kept for the next use


class Blobs:
    """A `Sink` and `Source` over the blob store; what it sends outlives this process."""

    def __init__(self, api: Api, least_bytes: int = BLOB_BYTES) -> None:
        self._api, self._least_bytes = api, least_bytes

    def put(self, view: memoryview) -> Buffer | None:
        if view.nbytes < self._least_bytes:
            return None
        return Buffer(kind="blob", segment=self._store(view.tobytes()), size=view.nbytes)

    def put_data(self, data: bytes) -> str:
        return self._store(data) if len(data) >= self._least_bytes else ""

    def open(self, buffer: Buffer) -> Any:
        return bytearray(self.open_data(buffer.segment))

    def open_data(self, digest: str) -> bytes:
        return b"".join(self._api.download(f"/v1/blobs/{digest}"))

    def _store(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        if self._api.send("POST", "/v1/blobs/missing", schemas.Digests(digests=[digest]), schemas.Digests).digests:
            self._api.upload(f"/v1/blobs/{digest}", io.BytesIO(data), len(data))
        return digest


class Shared:
    """A `Sink` and `Source` over the arena, with blobs for what does not fit."""

    def __init__(self, arena: Arena, api: Api, release: Callable[[list[str]], None]) -> None:
        self._arena, self._blobs, self._release = arena, Blobs(api, _FRAME_BYTES), release
        self._mapped: OrderedDict[str, None] = OrderedDict()

    def put(self, view: memoryview) -> Buffer | None:
        if view.nbytes < MIN_BYTES:
            return None
        try:
            return self._arena.put(view)
        except OSError:  # shared memory is full
            return self._blobs.put(view)

    def put_data(self, data: bytes) -> str:
        return self._blobs.put_data(data)

    def open(self, buffer: Buffer) -> Any:
        if buffer.kind != "arena":
            return self._blobs.open(buffer)
        view = self._arena.view(buffer)
        if view.nbytes == 0:
            return view
        # a ctypes array, since it can be watched: arrays made over it keep it alive, and nothing else does
        region = (ctypes.c_char * view.nbytes).from_buffer(view)
        weakref.finalize(region, self._seen, buffer.segment)
        return region

    def open_data(self, digest: str) -> bytes:
        return self._blobs.open_data(digest)

    def answered(self, inputs: Collection[Input], keep: Collection[str] = ()) -> None:
        """These inputs will not be run again: their segments are free, but for those that user code still looks at."""
        names = [b.segment for i in inputs for b in i.payload.buffers if b.kind == "arena"]
        if names:
            self._arena.release(names, keep)

    def unseen(self, payload: Payload) -> None:
        """Nobody will look at this result."""
        names = [b.segment for b in payload.buffers if b.kind == "arena"]
        if names:
            self._release(names)

    def inlined(self, payload: Payload) -> Payload:
        """The payload with its shared memory copied, for one that is read more than once; its segments are released."""
        if not any(b.kind == "arena" for b in payload.buffers):
            return payload
        copied = tuple(
            Buffer(kind="inline", data=bytes(self.open(b)), size=b.size) if b.kind == "arena" else b
            for b in payload.buffers
        )
        return msgspec.structs.replace(payload, buffers=copied)

    def close(self) -> None:
        self._arena.close()

    def _seen(self, segment: str) -> None:
        self._mapped[segment] = None
        self._mapped.move_to_end(segment)
        if len(self._mapped) > _MAPPED:
            self._arena.drop([self._mapped.popitem(last=False)[0]])
        self._release([segment])
