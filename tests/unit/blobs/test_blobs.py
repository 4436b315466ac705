"""Blobs are kept under the digest of their bytes, whole or not at all."""

import errno
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from freehold.core.errors import InvalidError, NotFoundError, ResourceExhaustedError
from freehold.server.services import uploads
from freehold.server.services.blobs import Blobs

DATA = os.urandom(3_000_000)
DIGEST = hashlib.sha256(DATA).hexdigest()


async def stream(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 100_000):
        yield data[start : start + 100_000]


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    blobs = Blobs(tmp_path / "blobs")
    blobs.open()
    return blobs


async def test_a_blob_comes_back(blobs: Blobs) -> None:
    assert blobs.missing([DIGEST, DIGEST]) == [DIGEST]
    assert await blobs.put(stream(DATA), DIGEST) == len(DATA)
    assert await blobs.put(stream(DATA), DIGEST) == len(DATA)
    assert blobs.has(DIGEST)
    assert blobs.missing([DIGEST]) == []
    with blobs.open_read(DIGEST) as file:
        assert file.read() == DATA
    assert not list(blobs._uploads.iterdir())
    assert blobs.path(DIGEST).stat().st_mode & 0o077 == 0


async def test_other_bytes_are_refused(blobs: Blobs) -> None:
    with pytest.raises(InvalidError, match=DIGEST):
        await blobs.put(stream(DATA[1:]), DIGEST)
    assert not blobs.has(DIGEST)
    assert not list(blobs._uploads.iterdir())
    with pytest.raises(NotFoundError):
        blobs.open_read(DIGEST)


@pytest.mark.parametrize(
    "digest", ["", "..", "../../key", "x" * 64, DIGEST.upper(), DIGEST + "\n", DIGEST[:-1], "/" + DIGEST, DIGEST + "\0"]
)
async def test_only_digests_name_blobs(blobs: Blobs, digest: str) -> None:
    def missing(digest: str) -> object:
        return blobs.missing([digest])

    works: list[Callable[[str], object]] = [blobs.path, blobs.has, blobs.open_read, missing]
    for work in works:
        with pytest.raises(InvalidError, match="no digest"):
            work(digest)
    with pytest.raises(InvalidError, match="no digest"):
        await blobs.put(stream(b"x"), digest)


async def test_a_full_disk(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(uploads.os, "fsync", full)
    with pytest.raises(ResourceExhaustedError):
        await blobs.put(stream(DATA), DIGEST)
    assert not list(blobs._uploads.iterdir())
    monkeypatch.undo()
    await blobs.put(stream(DATA), DIGEST)


async def test_left_overs_are_swept_at_the_start(blobs: Blobs) -> None:
    (blobs._uploads / "upload-1").write_text("half")
    blobs.open()
    assert not list(blobs._uploads.iterdir())
