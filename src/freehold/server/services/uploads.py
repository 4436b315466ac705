"""A stream into a temporary file, durable and with its digest; on any failure nothing is left of it."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterable
from dataclasses import dataclass
from pathlib import Path

from freehold.core.errors import Error, InternalError
from freehold.core.oserrors import machine_error

_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Upload:
    """What has come in, fsynced, not yet at its place."""

    path: Path
    bytes: int
    sha256: str

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)


async def receive(stream: AsyncIterable[bytes], folder: Path, *, mode: int = 0o600) -> Upload:
    """Write `stream` to a new file in `folder`. Raises ResourceExhaustedError when the disk is full."""
    path = folder / f"upload-{os.urandom(12).hex()}"
    try:
        return await _receive(stream, path, mode)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise disk_error(error, folder) from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise


async def _receive(stream: AsyncIterable[bytes], path: Path, mode: int) -> Upload:
    digest, size, held = hashlib.sha256(), 0, bytearray()
    with await asyncio.to_thread(_create, path, mode) as file:

        def flush(piece: bytearray) -> None:
            digest.update(piece)
            file.write(piece)

        async for part in stream:
            held += part
            size += len(part)
            if len(held) >= _PIECE_BYTES:
                piece, held = held, bytearray()
                await asyncio.to_thread(flush, piece)

        def finish() -> None:
            flush(held)
            os.fsync(file.fileno())

        await asyncio.to_thread(finish)
    return Upload(path=path, bytes=size, sha256=digest.hexdigest())


def _create(path: Path, mode: int):  # noqa: ANN202 (an unbuffered binary file)
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode), "wb", buffering=0
    )


def disk_error(error: OSError, folder: Path) -> Error:
    """What an OSError of the disk means to the one who uploads; nothing was stored."""
    return machine_error(error, folder) or InternalError(f"{folder} cannot be written: {error.strerror}")
