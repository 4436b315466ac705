"""Volumes from outside: files put, listed, read and removed over HTTP; and what only an instance may do."""

import io
import json
from pathlib import Path, PurePosixPath

import msgspec
import pytest
from tests.unit.sdk.fake_server import VOLUME_ID, FakeServer

import freehold
from freehold.core.errors import (
    DeprecationError,
    FileThereError,
    InvalidError,
    NoFileError,
    NotFoundError,
    NotMountedError,
)
from freehold.protocol.schemas import CopyRequest, RenameRequest
from freehold.sdk.entries import FileEntry, FileEntryType

volume = freehold.Volume.from_name("models", create_if_missing=True)


def asked(server: FakeServer, method: str) -> list[str]:
    return [path for verb, path, _, _ in server.volume_requests if verb == method]


def test_files_go_up_and_come_down(server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.bin").write_bytes(b"aaa")
    (tmp_path / "b.bin").write_bytes(b"b" * 3_000_000)
    (tmp_path / "b.bin").chmod(0o755)
    with volume.batch_upload() as batch:
        batch.put_directory(tmp_path, "/data")
        batch.put_file(io.BytesIO(b"stream"), "s.txt", mode=0o755)
        batch.put_file(tmp_path / "b.bin", PurePosixPath("/plain"), mode=0o644)
    assert sorted(server.files) == ["models/data/b.bin", "models/data/sub/a.bin", "models/plain", "models/s.txt"]
    sent = {path: query["executable"] for _, path, query, _ in server.volume_requests if "executable" in query}
    assert sent == {
        "models/files/data/b.bin": "true",
        "models/files/data/sub/a.bin": "false",
        "models/files/s.txt": "true",
        "models/files/plain": "false",
    }
    assert b"".join(volume.read_file("data/b.bin")) == b"b" * 3_000_000
    into = io.BytesIO()
    assert volume.read_file_into_fileobj("s.txt", into) == 6
    assert FileEntry(path="s.txt", type=FileEntryType.FILE, mtime=0, size=6) in volume.listdir("/")
    assert {e.path: e.size for e in volume.iterdir("/")}["data/b.bin"] == 3_000_000
    volume.remove_file("s.txt")
    for missing in (lambda: list(volume.read_file("s.txt")), lambda: volume.read_file_into_fileobj("s.txt", into)):
        with pytest.raises(FileNotFoundError) as caught:
            missing()
        assert isinstance(caught.value, NoFileError)
        assert isinstance(caught.value, NotFoundError)


async def test_async_faces(server: FakeServer) -> None:
    async with volume.batch_upload(force=True) as batch:
        batch.put_file(io.BytesIO(b"x"), "x")
    assert [c async for c in volume.read_file.aio("x")] == [b"x"]
    assert [f.path async for f in volume.iterdir.aio("/")] == ["x"]
    await volume.copy_files.aio(["x"], "y")
    await freehold.Volume.rename.aio("models", "others")
    await freehold.Volume.objects.delete.aio("others")
    assert asked(server, "POST") == ["models/copy", "models/rename"]
    assert asked(server, "DELETE") == ["others"]
    async with freehold.Volume.ephemeral() as one:
        assert one.name
    assert asked(server, "DELETE") == ["others", one.name]


def test_an_upload_that_fails_sends_nothing(server: FakeServer, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), volume.batch_upload() as batch:  # noqa: PT012 (the block's end is what is tested)
        batch.put_file(io.BytesIO(b"x"), "x")
        raise RuntimeError
    with pytest.raises(FileNotFoundError), volume.batch_upload() as batch:  # noqa: PT012 (as above)
        batch.put_file(io.BytesIO(b"x"), "x")
        batch.put_file(tmp_path / "absent", "y")
    assert server.files == {}
    with pytest.raises(InvalidError, match="no such folder"):
        volume.batch_upload().put_directory("/nowhere/at/all", "/x")
    for path in ("folder/", "/", ""):
        with pytest.raises(InvalidError, match="names a folder"):
            volume.batch_upload().put_file(io.BytesIO(b"x"), path)


def test_what_is_there_is_replaced_only_by_force(server: FakeServer) -> None:
    server.files["models/b"] = b"old"
    batch = volume.batch_upload()
    batch.put_file(io.BytesIO(b"a"), "/a")
    batch.put_file(io.BytesIO(b"new"), "/b")
    with pytest.raises(FileExistsError, match=r"'b' is in .* so nothing was sent") as caught:
        batch.__exit__(None)
    assert isinstance(caught.value, FileThereError)
    assert server.files == {"models/b": b"old"}
    with volume.batch_upload(force=True) as batch:
        batch.put_file(io.BytesIO(b"new"), "/b")
    assert server.files == {"models/b": b"new"}


def test_a_volume_that_is_there_already_is_taken(server: FakeServer) -> None:
    assert freehold.Volume.from_name("taken", create_if_missing=True).listdir("/") == []
    freehold.Volume.objects.create("taken", allow_existing=True)
    with pytest.raises(freehold.exception.AlreadyExistsError):
        freehold.Volume.objects.create("taken")


def test_names_and_ids(server: FakeServer) -> None:
    one = freehold.Volume.from_name("one")
    assert (one.name, one.object_id, one.hydrate() is one) == ("one", VOLUME_ID, True)
    assert one.info().created_at.timestamp() == 7.0
    same = freehold.Volume.from_id(VOLUME_ID)
    assert same.name is None
    assert same.hydrate().name == "by-id"
    assert same.mount("/x").name == VOLUME_ID
    with pytest.raises(NotFoundError):
        freehold.Volume.from_name("missing").hydrate()
    with pytest.raises(InvalidError, match="no volume's id"):
        freehold.Volume.from_id("weights")


def test_objects_are_listed_newest_first(server: FakeServer) -> None:
    objects = freehold.Volume.objects
    assert [v.name for v in objects.list()] == ["new", "middle", "old"]
    assert [v.name for v in objects.list(max_objects=1)] == ["new"]
    assert [v.name for v in objects.list(created_before="1970-01-01T00:00:01+00:00")] == ["old"]
    with pytest.raises(InvalidError, match="below 0"):
        objects.list(max_objects=-1)
    with pytest.raises(InvalidError, match="is no time"):
        objects.list(created_before="yesterday")
    with pytest.raises(NotFoundError):
        objects.delete("missing")
    objects.delete("missing", allow_missing=True)


def test_copies_and_names_are_sent_as_they_are(server: FakeServer) -> None:
    volume.copy_files(["a", "b/c"], "d/", recursive=True)
    freehold.Volume.rename("models", "others")
    copied, renamed = [body for verb, _, _, body in server.volume_requests if verb == "POST"]
    assert msgspec.json.decode(copied, type=CopyRequest) == CopyRequest(
        sources=("a", "b/c"), target="d/", recursive=True
    )
    assert msgspec.json.decode(renamed, type=RenameRequest).name == "others"
    with pytest.raises(InvalidError, match="give a list"):
        volume.copy_files("a", "b")
    with pytest.raises(InvalidError, match="is a pattern"):
        volume.listdir("logs/*")


def test_ephemeral_volumes_have_a_name_of_their_own(server: FakeServer) -> None:
    with freehold.Volume.ephemeral() as one, freehold.Volume.ephemeral() as two:
        assert one.name != two.name
        assert one.mount("/x").ephemeral
    assert set(asked(server, "DELETE")) == {one.name, two.name}


def test_mount_options() -> None:
    part = volume.with_mount_options(sub_path="/users/me/")
    assert (part.mount("/x").sub_path, part.mount("/x").read_only) == ("users/me", False)
    both = part.with_mount_options(read_only=True)
    assert (both.mount("/x").sub_path, both.mount("/x").read_only) == ("users/me", True)
    assert both.with_mount_options(sub_path="/", read_only=False).mount("/x") == volume.mount("/x")
    with pytest.raises(InvalidError, match="leads out"):
        volume.with_mount_options(sub_path="../other")
    frozen = volume.read_only()
    assert frozen.mount("/x").read_only
    for change in (frozen.batch_upload, lambda: frozen.remove_file("x"), lambda: frozen.copy_files(["x"], "y")):
        with pytest.raises(InvalidError, match="nothing can be written"):
            change()
    with pytest.raises(InvalidError, match="does not go with"):
        frozen.with_mount_options(read_only=True)
    with pytest.raises(InvalidError, match="does not go with"):
        part.read_only()


def test_commit_and_reload_are_for_who_has_it_mounted(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for call in (volume.commit, volume.reload):
        with pytest.raises(RuntimeError, match="have it mounted") as caught:
            call()
        assert isinstance(caught.value, NotMountedError)
    monkeypatch.setenv("FREEHOLD_VOLUMES", json.dumps({str(tmp_path): "models", "/elsewhere": "other"}))
    volume.commit()
    volume.reload()
    freehold.Volume.from_id(VOLUME_ID).hydrate()
    monkeypatch.setenv("FREEHOLD_VOLUMES", json.dumps({str(tmp_path): VOLUME_ID}))
    volume.commit()  # mounted by its id, committed by its name
    monkeypatch.setenv("FREEHOLD_VOLUMES", json.dumps({str(tmp_path / "gone"): "models"}))
    with pytest.raises(OSError, match="gone"):
        volume.commit()


def test_names_that_were_given_up(server: FakeServer) -> None:
    with pytest.warns(DeprecationError, match="from_name"):
        assert freehold.Volume.lookup("one").name == "one"
    with pytest.warns(DeprecationError, match="objects.create"):
        assert freehold.Volume.create_deployed("one") == VOLUME_ID
    with pytest.warns(DeprecationError, match="objects.delete"):
        freehold.Volume.delete("one")
    assert asked(server, "DELETE") == ["one"]


def test_wrong_names() -> None:
    for name in ("", "a/b", ".hidden"):
        with pytest.raises(InvalidError, match="cannot name a volume"):
            freehold.Volume.from_name(name)
    with pytest.raises(InvalidError, match="neither 1 nor 2"):
        freehold.Volume.from_name("x", version=3)


def test_another_environments_volumes(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = freehold.Volume.from_name("models", environment_name="dev")
    theirs.listdir("/")
    freehold.Volume.objects.delete("models", environment_name="dev")
    freehold.Volume.objects.delete("models", environment_name="main")
    assert server.environments == ["dev", "dev", "dev", ""]
    with pytest.raises(InvalidError, match="run with FREEHOLD_ENVIRONMENT=dev"):
        theirs.mount("/x")
    monkeypatch.setenv("FREEHOLD_ENVIRONMENT", "dev")
    assert theirs.mount("/x").name == "models"
    with pytest.raises(InvalidError, match="cannot name an environment"):
        freehold.Volume.from_name("models", environment_name="a/b")
