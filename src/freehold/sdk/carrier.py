"""Carries large pieces of payloads beside the link: as blobs, when client and server share no memory."""

import hashlib
import io
from typing import Any

from freehold.protocol.frames import Buffer
from freehold.sdk.http import Api

BLOB_BYTES = 1 << 20


class Blobs:
    """A `Sink` and `Source` over the blob store."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def put(self, view: memoryview) -> Buffer | None:
        if view.nbytes < BLOB_BYTES:
            return None
        return Buffer(kind="blob", segment=self._store(view.tobytes()), size=view.nbytes)

    def put_data(self, data: bytes) -> str:
        return self._store(data) if len(data) >= BLOB_BYTES else ""

    def open(self, buffer: Buffer) -> Any:
        return bytearray(self.open_data(buffer.segment))

    def open_data(self, digest: str) -> bytes:
        return b"".join(self._api.download(f"/v1/blobs/{digest}"))

    def _store(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        if self._api.send("POST", "/v1/blobs/missing", [digest], list[str]):
            self._api.upload(f"/v1/blobs/{digest}", io.BytesIO(data), len(data))
        return digest
