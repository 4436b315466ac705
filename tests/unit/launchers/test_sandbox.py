"""The mount view as a plan: what is laid where, and in which order."""

from pathlib import Path

import pytest

from freehold.launchers.process import sandbox
from freehold.launchers.process.sandbox import Bind, View


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def view(tmp_path: Path, **changes: object) -> View:
    given: dict[str, object] = {"fixed": (), "base": tmp_path / "base", "tmp": tmp_path / "tmp", "code": ()}
    return View(**(given | changes))  # type: ignore[arg-type]


def test_folders_are_laid_over_each_other_and_the_last_wins(tmp_path: Path) -> None:
    touch(tmp_path / "a/main.py", tmp_path / "a/pkg/one.py", tmp_path / "b/pkg/two.py", tmp_path / "b/main.py")
    binds = sandbox.merge([(tmp_path / "a", "/root"), (tmp_path / "b", "/root")])
    assert set(binds) == {
        Bind("/root/main.py", tmp_path / "b/main.py"),
        Bind("/root/pkg/one.py", tmp_path / "a/pkg/one.py"),
        Bind("/root/pkg/two.py", tmp_path / "b/pkg/two.py"),
    }


def test_caches_of_an_image_stay_writable_around_what_it_brought(tmp_path: Path) -> None:
    touch(
        tmp_path / "fs/root/.cache/huggingface/hub/models--x/blob",
        tmp_path / "fs/models/weights",
        tmp_path / "fs/etc/passwd",
    )
    layers = sandbox.layers(tmp_path / "fs")
    assert [inside for _, inside in layers] == ["/models", "/root"]
    inside = {b.inside for b in sandbox.merge(layers)}
    assert inside == {"/models/weights", "/root/.cache/huggingface/hub/models--x"}


def test_what_lies_deeper_comes_later(tmp_path: Path) -> None:
    touch(tmp_path / "code/data/inner.txt")
    volumes = ((tmp_path / "v1", "/root/data/deep", False), (tmp_path / "v2", "/vol", True))
    plan = sandbox.binds(view(tmp_path, code=((tmp_path / "code", "/root"),), volumes=volumes))
    order = [b.inside for b in plan]
    assert order.index("/root/data") < order.index("/root/data/deep")
    assert {b.inside: b.writable for b in plan} == {"/vol": False, "/root/data": False, "/root/data/deep": True}


def test_argv_isolates_pids_only_where_they_can_be(tmp_path: Path) -> None:
    made = view(tmp_path)
    with_pids, without = sandbox.argv("bwrap", made, level="pids"), sandbox.argv("bwrap", made, level="mounts")
    assert "--unshare-pid" in with_pids
    assert "--unshare-pid" not in without
    assert with_pids[-1] == "--"
    assert with_pids[:5] == ["bwrap", "--die-with-parent", "--bind", str(tmp_path / "base"), "/"]


def test_probe_without_bubblewrap_names_the_fix() -> None:
    level, why = sandbox.probe(None)
    assert level == "none"
    assert "apt-get install bubblewrap" in why


def test_probe_of_a_bubblewrap_that_fails(tmp_path: Path) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    level, why = sandbox.probe(str(broken))
    assert level == "none"
    assert "No permissions to create new namespace" in why


def test_links_stand_in_below_the_code_root_and_refuse_what_is_there(tmp_path: Path) -> None:
    touch(tmp_path / "code/main.py", tmp_path / "taken/file")
    volumes = (
        (tmp_path / "vol", "/root/vol", False),
        (tmp_path / "vol", str(tmp_path / "taken"), False),
        (tmp_path / "vol", str(tmp_path / "free"), False),
    )
    made = view(tmp_path, code=((tmp_path / "code", "/root"),), volumes=volumes)
    root, problems = sandbox.lay_links(made)
    assert (root / "main.py").resolve() == tmp_path / "code/main.py"
    assert (root / "vol").readlink() == tmp_path / "vol"
    assert (tmp_path / "free").readlink() == tmp_path / "vol"
    assert problems == [str(tmp_path / "taken")]
    assert sandbox.lay_links(made)[1] == problems, "laying them again changes nothing"


@pytest.mark.parametrize("name", ["find_bwrap"])
def test_a_bubblewrap_is_found_on_linux(name: str) -> None:
    found = getattr(sandbox, name)()
    assert found is None or Path(found).exists()
