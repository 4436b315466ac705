"""Network file systems, which are volumes under an older name; and proxies, which change nothing."""

import io
from pathlib import Path
from typing import Any

import pytest
from tests.unit.sdk.fake_server import VOLUME_ID, FakeServer

import freehold
from freehold.core.errors import DeprecationError, InvalidError

pytestmark = pytest.mark.filterwarnings("ignore:NetworkFileSystem is given up")


def nfs(name: str = "old") -> freehold.NetworkFileSystem:
    return freehold.NetworkFileSystem.from_name(name, create_if_missing=True)


def job() -> None: ...


def test_it_is_the_volume_of_its_name() -> None:
    with pytest.warns(DeprecationError, match="use Volume"):
        mount = nfs().mount("/x")
    assert (mount.name, mount.create_if_missing) == ("old", True)


def test_files(server: FakeServer, tmp_path: Path) -> None:
    system = nfs()
    assert system.write_file("/a/b.txt", io.BytesIO(b"hello")) == 5
    assert system.write_file("/a/b.txt", io.BytesIO(b"again")) == 5  # it replaces
    local = tmp_path / "c.txt"
    local.write_bytes(b"c")
    with local.open("rb") as file:
        system.write_file("/into/", file)
    assert system.add_local_file(local) == 1
    system.add_local_dir(tmp_path, "/dir")
    assert b"".join(system.read_file("a/b.txt")) == b"again"
    assert sorted(server.files) == ["old/a/b.txt", "old/c.txt", "old/dir/c.txt", "old/into/c.txt"]
    assert sorted(e.path for e in system.listdir("*/c.txt")) == ["dir/c.txt", "into/c.txt"]
    assert "b.txt" in [e.path for e in system.iterdir("a")]  # relative to the folder
    system.remove_file("c.txt")
    with pytest.raises(FileNotFoundError):
        list(system.read_file("c.txt"))
    with pytest.raises(InvalidError, match="without a name"):
        system.write_file("/into/", io.BytesIO(b""))


async def test_async_faces(server: FakeServer) -> None:
    async with freehold.NetworkFileSystem.ephemeral() as system:
        await system.write_file.aio("x", io.BytesIO(b"x"))
        assert [e async for e in system.iterdir.aio("/")] == await system.listdir.aio("/")
    assert [m for m, *_ in server.volume_requests if m == "DELETE"] == ["DELETE"]
    assert await freehold.NetworkFileSystem.create_deployed.aio("made") == VOLUME_ID
    await freehold.NetworkFileSystem.delete.aio("made")


def test_functions_mount_it_as_a_volume() -> None:
    app, volume = freehold.App(), freehold.Volume.from_name("new")
    made = app.function(network_file_systems={"/old": nfs()}, volumes={"/new": volume})(job)
    assert made.declaration is not None
    mounted: Any = made.declaration.options.get("volumes")
    assert {path: v.name for path, v in mounted.items()} == {"/old": "old", "/new": "new"}
    with pytest.raises(InvalidError, match="and a network file system are mounted at '/x'"):
        app.function(network_file_systems={"/x": nfs()}, volumes={"/x/": volume})(job)
    wrong: Any = {"/x": volume}
    with pytest.raises(InvalidError, match=r"network_file_systems\['/x'\].* is not a freehold\.NetworkFileSystem"):
        app.function(network_file_systems=wrong)(job)


def test_a_proxy_changes_nothing() -> None:
    proxy = freehold.Proxy.from_name("static-ip")
    assert proxy.hydrate() is proxy
    with pytest.warns(UserWarning, match="proxy= has no effect"):
        freehold.App().function(proxy=proxy)(job)
    with pytest.raises(InvalidError, match="cannot name a proxy"):
        freehold.Proxy.from_name("a/b")
