"""Volumes from outside: files put, listed, read and removed over HTTP."""

import io
from pathlib import Path

import pytest
from tests.unit.sdk.fake_server import FakeServer

import freehold
from freehold.core.errors import InvalidError, NotFoundError

volume = freehold.Volume.from_name("models", create_if_missing=True)


def test_files_go_up_and_come_down(server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.bin").write_bytes(b"aaa")
    (tmp_path / "b.bin").write_bytes(b"b" * 3_000_000)
    with volume.batch_upload() as batch:
        batch.put_directory(tmp_path, "/data")
        batch.put_file(io.BytesIO(b"stream"), "s.txt")
    assert sorted(server.files) == ["models/data/b.bin", "models/data/sub/a.bin", "models/s.txt"]
    assert b"".join(volume.read_file("data/b.bin")) == b"b" * 3_000_000
    into = io.BytesIO()
    assert volume.read_file_into_fileobj("s.txt", into) == 6
    assert [f.bytes for f in volume.listdir("/")] == [3_000_000, 3, 6]
    volume.remove_file("s.txt")
    with pytest.raises(NotFoundError):
        list(volume.read_file("s.txt"))


async def test_async_faces(server: FakeServer) -> None:
    async with volume.batch_upload(force=True) as batch:
        batch.put_file(io.BytesIO(b"x"), "x")
    assert [c async for c in volume.read_file.aio("x")] == [b"x"]
    assert [f.path async for f in volume.iterdir.aio("/")] == ["models/x"]
    await volume.commit.aio()
    await volume.reload.aio()


def test_an_upload_that_fails_sends_nothing(server: FakeServer) -> None:
    with pytest.raises(RuntimeError), volume.batch_upload() as batch:  # noqa: PT012 (the block's end is what is tested)
        batch.put_file(io.BytesIO(b"x"), "x")
        raise RuntimeError
    assert server.files == {}
    with pytest.raises(InvalidError, match="no such folder"):
        volume.batch_upload().put_directory("/nowhere/at/all", "/x")


def test_a_volume_that_is_there_already_is_taken(server: FakeServer) -> None:
    assert freehold.Volume.from_name("taken", create_if_missing=True).listdir("/") == []


def test_ephemeral_volumes_have_a_name_of_their_own(server: FakeServer) -> None:
    with freehold.Volume.ephemeral() as one, freehold.Volume.ephemeral() as two:
        assert one.name != two.name
        assert one.mount("/x").ephemeral


def test_wrong_names() -> None:
    for name in ("", "a/b", ".hidden"):
        with pytest.raises(InvalidError, match="cannot name a volume"):
            freehold.Volume.from_name(name)
