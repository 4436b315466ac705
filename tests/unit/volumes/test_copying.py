"""Copying within a volume, as `cp` does, and renaming one; nothing outside of it is read or written."""

import os
import threading
from pathlib import Path

import pytest

from freehold.core.errors import AlreadyExistsError, ConflictError, InvalidError, NoFileError, NotFoundError
from freehold.server.services import copying
from freehold.server.services.volumes import Volumes


@pytest.fixture
async def volumes(tmp_path: Path) -> Volumes:
    (tmp_path / "canary").write_text("outside")
    volumes = Volumes(tmp_path / "volumes")
    volumes.open()
    await volumes.create("main", "v")
    root = await volumes.host_path("main", "v")
    (root / "dir" / "deep").mkdir(parents=True)
    (root / "a.txt").write_text("a")
    (root / "run.sh").write_text("#!/bin/sh")
    (root / "run.sh").chmod(0o755)
    (root / "dir" / "b.txt").write_text("b")
    (root / "dir" / "deep" / "c.txt").write_text("c")
    (root / "dir" / "out").symlink_to("/etc/passwd")
    (root / "way-out").symlink_to("../../../..")
    (root / "out-file").symlink_to(tmp_path / "canary")
    return volumes


def tree(volumes: Volumes) -> dict[str, str]:
    root = volumes._root / "main" / "v" / "files"
    return {
        str(p.relative_to(root)): str(p.readlink()) if p.is_symlink() else p.read_text()
        for p in root.rglob("*")
        if p.is_file() or p.is_symlink()
    }


async def test_a_file_to_a_name_or_into_a_folder(volumes: Volumes) -> None:
    await volumes.copy("main", "v", ["a.txt"], "new/copy.txt")
    await volumes.copy("main", "v", ["/a.txt"], "dir")
    await volumes.copy("main", "v", ["a.txt", "run.sh"], "made/")
    await volumes.copy("main", "v", ["dir/b.txt"], "/")
    found = tree(volumes)
    assert {found[p] for p in ("new/copy.txt", "dir/a.txt", "made/a.txt")} == {"a"}
    assert found["b.txt"] == "b"
    root = await volumes.host_path("main", "v")
    assert os.access(root / "made" / "run.sh", os.X_OK)
    assert not os.access(root / "made" / "a.txt", os.X_OK)
    await volumes.copy("main", "v", ["dir/b.txt"], "a.txt")  # over what is there, as cp does
    assert tree(volumes)["a.txt"] == "b"


async def test_a_folder_goes_whole_with_its_links_as_links(volumes: Volumes) -> None:
    with pytest.raises(InvalidError, match="with recursive"):
        await volumes.copy("main", "v", ["dir"], "new")
    await volumes.copy("main", "v", ["dir"], "new", recursive=True)
    found = tree(volumes)
    assert (found["new/b.txt"], found["new/deep/c.txt"], found["new/out"]) == ("b", "c", "/etc/passwd")
    await volumes.copy("main", "v", ["dir"], "new", recursive=True)  # it is there now: into it
    assert tree(volumes)["new/dir/deep/c.txt"] == "c"
    (await volumes.host_path("main", "v") / "new" / "dir" / "kept").write_text("kept")
    await volumes.copy("main", "v", ["dir"], "new/", recursive=True)  # and over what it holds
    assert tree(volumes)["new/dir/kept"] == "kept"


@pytest.mark.parametrize("target", ["dir", "dir/", "dir/deep", "dir/deep/new", "dir/deep/"])
async def test_a_folder_does_not_go_into_itself(volumes: Volumes, target: str) -> None:
    before = tree(volumes)
    with pytest.raises(InvalidError, match="into itself"):
        await volumes.copy("main", "v", ["dir"], target, recursive=True)
    with pytest.raises(InvalidError, match="into itself"):
        await volumes.copy("main", "v", ["/"], target, recursive=True)
    assert tree(volumes) == before


async def test_what_cannot_be(volumes: Volumes) -> None:
    before = tree(volumes)
    for sources, target, error in [
        ([], "x", InvalidError),
        (["nope"], "x", NoFileError),
        (["a.txt", "run.sh"], "nowhere", InvalidError),
        (["a.txt"], "a.txt", InvalidError),
        (["a.txt"], "a.txt/x", InvalidError),
        (["dir"], "a.txt", ConflictError),
        (["../canary"], "x", InvalidError),
        (["a.txt"], "../x", InvalidError),
        (["out-file"], "x", InvalidError),
        (["way-out/canary"], "x", InvalidError),
        (["a.txt"], "way-out/x", InvalidError),
    ]:
        with pytest.raises(error):
            await volumes.copy("main", "v", sources, target, recursive=True)
    assert tree(volumes) == before
    assert not list((volumes._root / "main" / "v" / "uploads").iterdir())
    (await volumes.host_path("main", "v") / "dir" / "a.txt").mkdir()
    with pytest.raises(ConflictError, match="which is a folder"):
        await volumes.copy("main", "v", ["a.txt"], "dir/")


async def test_a_file_system_that_copies_nothing_by_itself(volumes: Volumes, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(95, "not supported")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    root = await volumes.host_path("main", "v")
    (root / "big").write_bytes(os.urandom(3_000_001))
    await volumes.copy("main", "v", ["big"], "copy")
    assert (root / "copy").read_bytes() == (root / "big").read_bytes()


async def test_a_full_disk_leaves_nothing(volumes: Volumes, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = tree(volumes)
    monkeypatch.setattr(copying, "_copy_bytes", full)
    with pytest.raises(Exception, match="is full: free some space"):
        await volumes.copy("main", "v", ["dir"], "new", recursive=True)
    assert tree(volumes) == before
    assert not list((volumes._root / "main" / "v" / "uploads").iterdir())


async def test_readers_see_the_old_file_or_the_new_one(volumes: Volumes) -> None:
    root = await volumes.host_path("main", "v")
    (root / "one").write_bytes(b"1" * 200_000)
    (root / "two").write_bytes(b"2" * 200_000)
    (root / "there").write_bytes(b"1" * 200_000)
    seen: set[bytes] = set()
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.add((root / "there").read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(10):
        await volumes.copy("main", "v", ["two"], "there")
        await volumes.copy("main", "v", ["one"], "there")
    over.set()
    reader.join()
    assert seen <= {b"1" * 200_000, b"2" * 200_000}


# ---- names and ids


async def test_rename(volumes: Volumes) -> None:
    before = await volumes.get("main", "v")
    await volumes.create("main", "taken")
    with pytest.raises(AlreadyExistsError, match="'taken' already"):
        await volumes.rename("main", "v", "taken")
    assert (await volumes.rename("main", "v", "v")).name == "v"
    for wrong in ("", "a/b", "..", ".x"):
        with pytest.raises(InvalidError):
            await volumes.rename("main", "v", wrong)
    after = await volumes.rename("main", "v", "w")
    assert (after.name, after.id, after.created) == ("w", before.id, before.created)
    assert "a.txt" in [f.path for f in await volumes.ls("main", "w", "")]
    with pytest.raises(NotFoundError):
        await volumes.get("main", "v")
    assert (await volumes.get("main", before.id, count=False)).name == "w"
    with pytest.raises(NotFoundError):
        await volumes.rename("main", "nope", "x")


async def test_ids(volumes: Volumes, tmp_path: Path) -> None:
    (volumes._root / "main" / "v" / "id").unlink()  # made before volumes had one
    first = (await volumes.list("main"))[0].id
    assert first == (await volumes.get("main", "v")).id
    await volumes.create("other", "v")
    with pytest.raises(NotFoundError, match="deleted"):
        await volumes.get("other", first)  # another workspace's
    with pytest.raises(InvalidError, match="form of an id"):
        await volumes.create("main", first)
    with pytest.raises(InvalidError, match="form of an id"):
        await volumes.rename("main", "v", first)
    await volumes.delete("main", first)
    with pytest.raises(NotFoundError):
        await volumes.host_path("main", first, create=True)


async def test_a_part_of_a_volume(volumes: Volumes) -> None:
    root = await volumes.host_path("main", "v")
    assert await volumes.host_path("main", "v", sub_path="/users/me") == root / "users" / "me"
    assert (root / "users" / "me").is_dir()
    assert await volumes.host_path("main", "v", sub_path="dir") == root / "dir"
    for wrong in ("../x", "way-out", "way-out/tmp", "a.txt", "dir/out"):
        with pytest.raises(InvalidError):
            await volumes.host_path("main", "v", sub_path=wrong)
