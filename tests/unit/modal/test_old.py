"""Names that Modal has given up: they work, and say what is written now."""

from pathlib import Path

import pytest

from freehold.core.errors import DeprecationError, InvalidError, UnimplementedError
from freehold.modal import absent, old
from freehold.sdk.app import App
from freehold.sdk.decorators import enter
from freehold.sdk.image import Image
from freehold.sdk.network_file_system import NetworkFileSystem
from freehold.sdk.source import Bundles

pytestmark = pytest.mark.filterwarnings("ignore::freehold.core.errors.DeprecationError")


def test_files_of_mounts_go_along(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("hello")
    app = App("mounted")
    assets = old.Mount.from_local_dir(tmp_path, remote_path="/assets")
    with pytest.warns(DeprecationError, match=r"mounts= is now Image\.add_local_dir"):
        app.function(name="f", serialized=True, include_source=False, mounts=[assets])(lambda: None)
    with Bundles() as bundles:
        (function,) = app.spec(bundles).functions
    assert [m.remote_path for m in function.mounts] == ["/assets"]


def test_mounts_that_are_none_are_refused() -> None:
    with (
        pytest.raises(InvalidError, match=r"mounts=\['/assets'\] is not a list of modal\.Mount"),
    ):
        App("mounted").function(name="f", serialized=True, mounts=["/assets"])(lambda: None)  # pyright: ignore[reportArgumentType]


def test_a_mount_is_copied_into_an_image(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    mount = old.Mount.from_local_dir(tmp_path, remote_path="/data")
    with pytest.warns(DeprecationError, match=r"copy=True"):
        image = Image.debian_slim().copy_mount(mount)
    assert [f.remote for f in image.copied] == ["/data"]
    with pytest.raises(InvalidError, match=r"add_local_dir"):
        image.copy_mount(mount, "/elsewhere")


def test_a_shared_volume_is_the_volume_of_its_name() -> None:
    app = App("shared")
    kept, own = old.SharedVolume.persisted("cache"), old.SharedVolume()
    assert own.persist("models").volume.name == "models"
    with pytest.warns(DeprecationError, match="shared_volumes= is now network_file_systems="):
        app.function(name="f", serialized=True, shared_volumes={"/cache": kept, "/own": own})(lambda: None)
    assert isinstance(kept, NetworkFileSystem)
    with Bundles() as bundles:
        (function,) = app.spec(bundles).functions
    assert {v.path: v.name for v in function.volumes} == {"/cache": "cache", "/own": own.volume.name}


def test_the_experimental_server_is_a_server() -> None:
    app = App("served")
    with pytest.warns(DeprecationError, match=r"@app\.server"), pytest.warns(UserWarning, match="no effect"):

        @app._experimental_server(port=8000, proxy_regions=["us-east"], region="us-east", serialized=True)
        class Served:
            @enter()
            def start(self) -> None: ...

    assert list(app.registered_servers) == [Served.name]


def test_options_and_hooks_of_the_first_snapshots() -> None:
    app = App("snapshots")
    with pytest.warns(UserWarning, match="_allow_background_volume_commits= has no effect"):

        @app.cls(checkpointing_enabled=True, _allow_background_volume_commits=True, serialized=True)
        class Model:
            @enter(checkpoint=True)
            def load(self) -> None: ...

    with Bundles() as bundles:
        (cls,) = app.spec(bundles).functions
    assert (cls.name, cls.snapshot) == ("Model", True)
    assert Model


def test_what_is_not_in_experimental_says_what_to_use_instead() -> None:
    with pytest.raises(
        UnimplementedError,
        match=r"modal\.experimental\.set_local_input_concurrency is not there: it is what @modal\.concurrent",
    ):
        absent.set_local_input_concurrency(2)
