"""A folder and a bucket that agree: what changed on either side goes to the other, and nothing else."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import pytest

from freehold.core.errors import ResourceExhaustedError, ServiceError
from freehold.server.services import mirror as mirrors
from freehold.server.services.mirror import Mirror
from freehold.server.services.s3 import Object


class Store:
    """A bucket in memory that counts what it is asked."""

    def __init__(self) -> None:
        self.objects_by_key: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.fails: Exception | None = None

    def __str__(self) -> str:
        return "bucket 'test'"

    async def objects(self) -> list[Object]:
        self.asked.append("list")
        await asyncio.sleep(0)
        if self.fails:
            raise self.fails
        return [Object(key=k, bytes=len(v), etag=str(hash(v)), modified=1000.0) for k, v in self.objects_by_key.items()]

    async def get(self, key: str) -> AsyncIterator[bytes]:
        self.asked.append(f"get {key}")
        value = self.objects_by_key[key]
        yield value[:1]
        yield value[1:]

    async def put(self, key: str, file: IO[bytes]) -> str:
        self.asked.append(f"put {key}")
        if self.fails:
            raise self.fails
        self.objects_by_key[key] = file.read()
        return str(hash(self.objects_by_key[key]))

    async def delete(self, key: str) -> None:
        self.asked.append(f"delete {key}")
        self.objects_by_key.pop(key, None)

    def took(self) -> list[str]:
        asked, self.asked = self.asked, []
        return sorted(a for a in asked if a != "list")


@pytest.fixture
def store() -> Store:
    store = Store()
    store.objects_by_key = {"a.txt": b"a", "dir/b.txt": b"b", "dir/": b""}
    del store.objects_by_key["dir/"]
    return store


@pytest.fixture
async def mirror(tmp_path: Path, store: Store) -> Mirror:
    made = Mirror(tmp_path / "m", cast("Any", store))
    await made.refresh()
    store.took()
    return made


def tree(mirror: Mirror) -> dict[str, str]:
    root = mirror.files
    return {str(p.relative_to(root)): p.read_text() for p in root.rglob("*") if p.is_file() and not p.is_symlink()}


async def test_the_bucket_is_there_with_its_times(mirror: Mirror, store: Store) -> None:
    assert tree(mirror) == {"a.txt": "a", "dir/b.txt": "b"}
    assert (mirror.files / "a.txt").stat().st_mtime == 1000.0
    await mirror.refresh()
    await mirror.store()
    assert store.took() == []  # both sides agree


async def test_what_changed_there_comes_and_nothing_else(mirror: Mirror, store: Store) -> None:
    store.objects_by_key |= {"a.txt": b"new", "later/c.txt": b"c"}
    del store.objects_by_key["dir/b.txt"]
    await mirror.refresh()
    assert store.took() == ["get a.txt", "get later/c.txt"]
    assert tree(mirror) == {"a.txt": "new", "later/c.txt": "c"}
    assert not (mirror.files / "dir").exists()
    await mirror.store()
    assert store.took() == []


async def test_what_changed_here_goes_and_nothing_else(mirror: Mirror, store: Store) -> None:
    (mirror.files / "new" / "deep").mkdir(parents=True)
    (mirror.files / "new" / "deep" / "한글.txt").write_text("new")
    (mirror.files / "a.txt").write_text("A")  # as long as it was
    (mirror.files / "dir" / "b.txt").unlink()
    (mirror.files / "empty").mkdir()
    await mirror.store()
    assert store.took() == ["delete dir/b.txt", "put a.txt", "put new/deep/한글.txt"]
    assert store.objects_by_key == {"a.txt": b"A", "new/deep/한글.txt": b"new"}
    await mirror.refresh()
    await mirror.store()
    assert store.took() == []


async def test_what_changed_on_both_sides_stays_as_it_is_here(mirror: Mirror, store: Store) -> None:
    (mirror.files / "a.txt").write_text("mine")
    (mirror.files / "dir" / "b.txt").unlink()
    (mirror.files / "c.txt").write_text("mine too")
    store.objects_by_key |= {"a.txt": b"theirs", "c.txt": b"theirs"}
    await mirror.refresh()
    assert tree(mirror) == {"a.txt": "mine", "c.txt": "mine too"}
    del store.objects_by_key["a.txt"]
    await mirror.refresh()
    await mirror.store()
    assert store.objects_by_key == {"a.txt": b"mine", "c.txt": b"mine too"}


async def test_links_are_not_followed(mirror: Mirror, store: Store, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("outside")
    (tmp_path / "folder").mkdir()
    (mirror.files / "file-link").symlink_to(tmp_path / "secret")
    (mirror.files / "folder-link").symlink_to(tmp_path / "folder")
    (mirror.files / "dir" / "b.txt").unlink()
    (mirror.files / "dir").rmdir()
    (mirror.files / "dir").symlink_to(tmp_path / "folder")
    os.mkfifo(mirror.files / "fifo")
    await mirror.store()
    assert store.took() == ["delete dir/b.txt"]
    store.objects_by_key |= {"dir/b.txt": b"b", "folder-link/x.txt": b"x"}
    await mirror.refresh()
    assert list((tmp_path / "folder").iterdir()) == []


async def test_keys_that_no_path_can_have(mirror: Mirror, store: Store, tmp_path: Path) -> None:
    bad = ["../outside", "/etc/x", "a/../../y", "tab\tkey", "x" * 300, "a.txt/below"]
    store.objects_by_key |= dict.fromkeys(bad, b"bad")
    await mirror.refresh()
    assert set(tree(mirror)) == {"dir/b.txt", "a.txt/below"}  # a key that is a folder of others gives way to them
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m"]


async def test_a_key_that_is_a_folder_of_others_is_that_folder(tmp_path: Path, store: Store) -> None:
    store.objects_by_key = {"dir": b"", "dir/b.txt": b"b"}
    mirror = Mirror(tmp_path / "m", cast("Any", store))
    await mirror.refresh()
    await mirror.store()
    assert tree(mirror) == {"dir/b.txt": "b"}
    assert sorted(store.objects_by_key) == ["dir", "dir/b.txt"]


async def test_what_is_known_outlasts_the_server(mirror: Mirror, store: Store, tmp_path: Path) -> None:
    (mirror.files / "a.txt").write_text("written before the end")
    again = Mirror(tmp_path / "m", cast("Any", store))
    await again.refresh()
    assert store.took() == []
    await again.store()
    assert store.took() == ["put a.txt"]
    (tmp_path / "m" / "agreed.json").write_text("{damaged")
    damaged = Mirror(tmp_path / "m", cast("Any", store))
    await damaged.refresh()
    assert tree(damaged)["a.txt"] == "written before the end"


async def test_a_failure_loses_nothing(mirror: Mirror, store: Store) -> None:
    (mirror.files / "a.txt").write_text("A")
    store.fails = ServiceError("down")
    for work in (mirror.store, mirror.refresh):
        with pytest.raises(ServiceError):
            await work()
    store.fails = None
    await mirror.store()
    assert store.objects_by_key["a.txt"] == b"A"


async def test_many_at_once_ask_once(mirror: Mirror, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    walk, walks = mirrors._walk, list[Path]()

    def counted(root: Path) -> dict[str, os.stat_result]:
        walks.append(root)
        return walk(root)

    monkeypatch.setattr(mirrors, "_walk", counted)
    (mirror.files / "a.txt").write_text("A")
    store.asked = []
    await asyncio.gather(*(mirror.refresh() for _ in range(20)), *(mirror.store() for _ in range(20)))
    assert store.asked.count("list") <= 2
    assert store.asked.count("put a.txt") == 1
    assert len(walks) <= 4
    await mirror.refresh(at_most_every_s=60.0)
    assert store.asked.count("list") <= 2


async def test_what_may_still_be_written_waits(mirror: Mirror, store: Store) -> None:
    (mirror.files / "old.txt").write_text("old")
    os.utime(mirror.files / "old.txt", (time.time() - 60, time.time() - 60))
    (mirror.files / "fresh.txt").write_text("fresh")
    await mirror.store(settled_s=10.0)
    assert store.took() == ["put old.txt"]
    await mirror.store()
    assert store.took() == ["put fresh.txt"]


class _Usage(NamedTuple):
    free: int


async def test_more_than_the_disk_holds_is_refused_first(
    mirror: Mirror, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def usage(_: Path) -> _Usage:
        return _Usage(free=1000)

    store.objects_by_key["huge"] = b"x" * 1000
    monkeypatch.setattr(shutil, "disk_usage", usage)
    with pytest.raises(ResourceExhaustedError, match="mount a part of it with key_prefix"):
        await mirror.refresh()
    assert store.took() == []


class _KilledError(BaseException):
    pass


async def test_what_a_killed_server_had_fetched_follows_the_bucket_still(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: Mirror) -> None:
        raise _KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Mirror, "_save", killed)
        with pytest.raises(_KilledError):
            await Mirror(tmp_path / "m", cast("Any", store)).refresh()
    with (tmp_path / "m" / "agreed.since").open("a") as file:
        file.write('["half')
    store.objects_by_key["a.txt"] = b"newer"
    again = Mirror(tmp_path / "m", cast("Any", store))
    await again.refresh()
    await again.store()
    assert tree(again) == {"a.txt": "newer", "dir/b.txt": "b"}
    assert store.objects_by_key["a.txt"] == b"newer"


async def test_a_folder_that_was_removed_by_hand_deletes_nothing_there(
    mirror: Mirror, store: Store, tmp_path: Path
) -> None:
    shutil.rmtree(mirror.files)
    again = Mirror(tmp_path / "m", cast("Any", store))
    await again.refresh()
    await again.store()
    assert tree(again) == {"a.txt": "a", "dir/b.txt": "b"}
    assert store.objects_by_key == {"a.txt": b"a", "dir/b.txt": b"b"}
