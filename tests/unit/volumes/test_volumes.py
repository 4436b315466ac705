"""S6: nothing outside a volume's root, whatever the path; files whole or not there."""

import contextlib
import errno
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freehold.core.errors import (
    AlreadyExistsError,
    CancelledError,
    ConflictError,
    Error,
    InvalidError,
    NotFoundError,
    ResourceExhaustedError,
)
from freehold.server.services import beneath, uploads
from freehold.server.services.volumes import Volumes

CANARY = "canary outside of every volume"
CORPUS = [
    "..", "../", "../canary", "a/../../canary", "a/../../../canary", "../../../../../../etc/passwd", "/etc/passwd", "//etc/passwd", "./../canary",
    "..\\canary", "a\\..\\..\\canary", "\\etc\\passwd", "a/\0/../canary", "canary\0.txt", "..;/canary", "a/..;/../canary", "%2e%2e/canary",
    "%252e%252e/canary", "%2e%2e%2fcanary", "..%2fcanary", "..%c0%afcanary", "....//canary", "..../canary", ".. /canary", "..\n/canary",
    "link/canary", "link/../canary", "file-link", "absolute-link", "deep/link-up/canary", "proc-link/1/environ", "self-link/x",
    "x" * 256, "x/" * 5000, "/".join(["x"] * 65), "file:///etc/passwd", "~/canary", "C:\\canary", "\u2025/canary", "\uff0e\uff0e/canary",
    "nul\0", "\x7f", "tab\there", "a//b/../../../canary", "..//..//canary", "%00", "*/canary", "dir/../..//canary",
]  # fmt: skip


async def stream(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.fixture
async def volumes(tmp_path: Path) -> Volumes:
    (tmp_path / "canary").write_text(CANARY)
    volumes = Volumes(tmp_path / "home" / "volumes")
    volumes.open()
    await volumes.create("main", "v")
    root = await volumes.host_path("main", "v")
    (root.parent / "canary").write_text(CANARY)
    (root.parent.parent / "canary").write_text(CANARY)
    (root / "dir").mkdir()
    (root / "deep").mkdir()
    (root / "link").symlink_to("..")
    (root / "deep" / "link-up").symlink_to("../..")
    (root / "file-link").symlink_to("../canary")
    (root / "absolute-link").symlink_to(tmp_path / "canary")
    (root / "proc-link").symlink_to("/proc")
    (root / "self-link").symlink_to("self-link")
    return volumes


def outside(volumes: Volumes) -> dict[str, bytes]:
    """Every file of the home and beside it that is not in the volume."""
    top = volumes._root.parent.parent
    inside = volumes._root / "main" / "v" / "files"
    return {
        str(p): p.read_bytes() for p in top.rglob("*") if p.is_file() and not p.is_symlink() and inside not in p.parents
    }


@pytest.mark.parametrize("path", CORPUS)
async def test_no_path_leads_out(volumes: Volumes, path: str) -> None:
    before = outside(volumes)
    with contextlib.suppress(Error), await volumes.open_read("main", "v", path) as file:
        assert CANARY.encode() not in file.read()
    with contextlib.suppress(Error):
        assert all(
            "canary" not in view.path or view.path == path
            for view in await volumes.ls("main", "v", path, recursive=True)
        )
    for work in (
        volumes.put("main", "v", path, stream(b"written")),
        volumes.put("main", "v", path + "/below", stream(b"written")),
        volumes.remove("main", "v", path, recursive=True),
    ):
        with contextlib.suppress(Error):
            await work
    assert outside(volumes) == before


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    path=st.lists(
        st.sampled_from(["..", ".", "", "link", "deep", "dir", "canary", "file-link", "\0", "a", "link-up"]), max_size=7
    ).map("/".join)
)
def test_no_made_up_path_leads_out(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    if not root.exists():
        (root / "deep").mkdir(parents=True)
        (root / "link").symlink_to("..")
        (root / "deep" / "link-up").symlink_to("../..")
        (root / "file-link").symlink_to("../canary")
        (tmp_path / "canary").write_text(CANARY)
    try:
        descriptor = beneath.open_file(root, beneath.parts_of(path), os.O_RDONLY)
    except Error:
        return
    place = Path(f"/proc/self/fd/{descriptor}").readlink()
    os.close(descriptor)
    assert place == root or root in place.parents


async def test_links_that_stay_inside_are_followed_in_reading(volumes: Volumes) -> None:
    """Model caches are full of them."""
    root = await volumes.host_path("main", "v")
    (root / "blobs").mkdir()
    (root / "blobs" / "one").write_text("weights")
    (root / "deep" / "model").symlink_to("../blobs/one")
    with await volumes.open_read("main", "v", "deep/model") as file:
        assert file.read() == b"weights"


async def test_without_openat2_no_link_is_followed(volumes: Volumes, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> int:
        raise OSError(errno.ENOSYS, "not there")

    monkeypatch.setattr(beneath, "_openat2", absent)
    await volumes.put("main", "v", "dir/x", stream(b"plain"))
    with await volumes.open_read("main", "v", "dir/x") as file:
        assert file.read() == b"plain"
    for path in ("link/canary", "file-link", "absolute-link", "deep/link-up/canary"):
        with pytest.raises(InvalidError):
            await volumes.open_read("main", "v", path)


async def test_a_folder_swapped_for_a_link_does_not_lead_out(volumes: Volumes) -> None:
    root = await volumes.host_path("main", "v")
    (root / "swap").mkdir()
    stop = threading.Event()

    def swap() -> None:
        steps = (
            lambda: (root / "swap").rename(root / "away"),
            lambda: (root / "swap").symlink_to("../.."),
            (root / "swap").unlink,
            lambda: (root / "away").rename(root / "swap"),
        )
        while not stop.is_set():
            for step in steps:
                with contextlib.suppress(OSError):  # an upload made the folder anew meanwhile
                    step()

    before = outside(volumes)
    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(80):
            for work in (
                volumes.put("main", "v", "swap/planted", stream(b"x")),
                volumes.remove("main", "v", "swap/canary"),
            ):
                with contextlib.suppress(Error):
                    await work
    finally:
        stop.set()
        swapper.join()
    assert outside(volumes) == before


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../v", "a/b", "/v", "-v", ".v", "v\0", "v\n", "x" * 65, "v v", "é", "%2e%2e"]
)
async def test_a_volumes_name_is_checked(volumes: Volumes, name: str) -> None:
    for work in (
        volumes.create("main", name),
        volumes.get("main", name),
        volumes.delete("main", name),
        volumes.host_path("main", name, create=True),
    ):
        with pytest.raises(InvalidError, match="cannot name a volume"):
            await work
    with pytest.raises(InvalidError):
        await volumes.create(name, "v")


async def test_volumes_are_made_listed_and_deleted(volumes: Volumes) -> None:
    with pytest.raises(AlreadyExistsError):
        await volumes.create("main", "v")
    await volumes.put("main", "v", "a/b", stream(b"12", b"345"))
    view = await volumes.get("main", "v")
    assert (view.name, view.bytes, view.files) == ("v", 5, 1)
    assert [v.name for v in await volumes.list("main")] == ["v"]
    assert await volumes.list("other") == []
    await volumes.host_path("main", "made", create=True)
    await volumes.delete("main", "v")
    assert [v.name for v in await volumes.list("main")] == ["made"]
    with pytest.raises(NotFoundError):
        await volumes.get("main", "v")


async def test_files_are_listed_with_their_kinds(volumes: Volumes) -> None:
    await volumes.put("main", "v", "dir/x", stream(b"123"))
    kinds = {v.path: (v.type, v.bytes) for v in await volumes.ls("main", "v", "", recursive=True)}
    assert kinds["dir"] == ("directory", 0)
    assert kinds["dir/x"] == ("file", 3)
    assert kinds["link"] == ("link", 0)
    assert not any(path.startswith("link/") for path in kinds)
    assert [v.path for v in await volumes.ls("main", "v", "dir/x")] == ["dir/x"]
    with pytest.raises(NotFoundError):
        await volumes.ls("main", "v", "nothing")


async def test_no_file_but_a_regular_one_is_read(volumes: Volumes) -> None:
    root = await volumes.host_path("main", "v")
    os.mkfifo(root / "pipe")
    for path in ("pipe", "dir", ""):
        with pytest.raises(InvalidError, match="not a file"):
            await volumes.open_read("main", "v", path)


async def test_a_file_is_replaced_whole(volumes: Volumes) -> None:
    await volumes.put("main", "v", "f", stream(b"old"))
    with await volumes.open_read("main", "v", "f") as reader:
        await volumes.put("main", "v", "f", stream(b"new one"))
        assert reader.read() == b"old"
    with pytest.raises(AlreadyExistsError):
        await volumes.put("main", "v", "f", stream(b"third"), force=False)
    with pytest.raises(ConflictError):
        await volumes.put("main", "v", "dir", stream(b"x"))
    with await volumes.open_read("main", "v", "f") as reader:
        assert reader.read() == b"new one"


async def test_uploads_side_by_side_into_a_new_folder(volumes: Volumes, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.mkdir

    def late(name: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        if name == "new":
            real(name, mode, dir_fd=dir_fd)  # another upload was quicker
        real(name, mode, dir_fd=dir_fd)

    monkeypatch.setattr(beneath.os, "mkdir", late)
    await volumes.put("main", "v", "new/f", stream(b"x"))
    with await volumes.open_read("main", "v", "new/f") as reader:
        assert reader.read() == b"x"


async def test_an_upload_that_breaks_off_leaves_nothing(volumes: Volumes) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 3_000_000
        msg = "the sender left"
        raise CancelledError(msg)

    with pytest.raises(CancelledError):
        await volumes.put("main", "v", "f", broken())
    root = await volumes.host_path("main", "v")
    assert not (root / "f").exists()
    assert not list((root.parent / "uploads").iterdir())


@pytest.mark.parametrize("where", ["fsync", "write"])
async def test_a_full_disk_is_said_so_and_frees_what_was_written(
    volumes: Volumes, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def device(_path: Path, _mode: int) -> BinaryIO:
        return Path("/dev/full").open("wb", buffering=0)  # type: ignore[return-value]

    if where == "fsync":
        monkeypatch.setattr(uploads.os, "fsync", full)
    else:
        monkeypatch.setattr(uploads, "_create", device)
    with pytest.raises(ResourceExhaustedError, match="full"):
        await volumes.put("main", "v", "f", stream(b"x" * 2_000_000))
    monkeypatch.undo()
    root = await volumes.host_path("main", "v")
    assert not (root / "f").exists()
    assert not list((root.parent / "uploads").glob("*"))
    await volumes.put("main", "v", "f", stream(b"x"))  # works again once there is room


async def test_a_volume_that_the_disk_has_no_room_for_is_not_half_there(
    volumes: Volumes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ResourceExhaustedError, match="full"):
        await volumes.create("main", "new")
    monkeypatch.undo()
    with pytest.raises(NotFoundError):
        await volumes.get("main", "new")
    await volumes.create("main", "new")
    assert [v.name for v in await volumes.list("main")] == ["new", "v"]


async def test_left_overs_are_swept_at_the_start(volumes: Volumes) -> None:
    root = await volumes.host_path("main", "v")
    (root.parent / "uploads").mkdir(exist_ok=True)
    (root.parent / "uploads" / "upload-1").write_text("half")
    (root.parent.parent / ".deleted-1").mkdir()
    volumes.open()
    assert not (root.parent / "uploads").exists()
    assert not (root.parent.parent / ".deleted-1").exists()


async def test_a_volume_that_is_being_deleted_is_found_by_neither_name(volumes: Volumes) -> None:
    view = await volumes.get("main", "v")
    home = (await volumes.host_path("main", view.id)).parent
    home.rename(home.with_name(".deleted-1"))
    with pytest.raises(NotFoundError, match="there is no volume with the id"):
        await volumes.host_path("main", view.id)
    with pytest.raises(NotFoundError, match=r"^no volume 'deleted-1'; create it"):
        await volumes.host_path("main", "deleted-1")
