"""Sending a file that is open already, whole or a range of it, without holding the loop up."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from freehold.core.errors import InvalidError

_PIECE_BYTES = 256 * 1024


def file_response(request: Request, source: BinaryIO, headers: dict[str, str] | None = None) -> Response:
    """The file's bytes, or those of a single `Range`. Closes `source`."""
    size = os.fstat(source.fileno()).st_size
    out = {"accept-ranges": "bytes", "x-content-type-options": "nosniff", **(headers or {})}
    try:
        start, end = _range(request.headers.get("range"), size)
    except InvalidError:
        source.close()
        raise
    status = 200
    if (start, end) != (0, size):
        status = 206
        out["content-range"] = f"bytes {start}-{end - 1}/{size}"
    out["content-length"] = str(end - start)
    return StreamingResponse(_pieces(source, start, end), status, out, "application/octet-stream")


def _range(header: str | None, size: int) -> tuple[int, int]:
    if not header or not header.startswith("bytes=") or "," in header:
        return 0, size
    first, dash, last = header.removeprefix("bytes=").strip().partition("-")
    if not dash or not (first or last) or not (first + last).isdigit():
        return 0, size
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if start >= end and size:
        error = InvalidError(f"range {header[:100]!r} lies outside the {size} bytes of this file")
        error.status = 416  # type: ignore[attr-defined]
        raise error
    return start, end


async def _pieces(source: BinaryIO, start: int, end: int) -> AsyncIterator[bytes]:
    try:
        source.seek(start)
        while start < end:
            piece = await asyncio.to_thread(source.read, min(_PIECE_BYTES, end - start))
            if not piece:
                return
            start += len(piece)
            yield piece
    finally:
        source.close()
