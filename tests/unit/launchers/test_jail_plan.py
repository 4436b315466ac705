"""The plan of a sandbox: what bubblewrap is told."""

from dataclasses import replace
from pathlib import Path

import pytest

from freehold.launchers.process import jail, system
from freehold.launchers.process.jail import Jail


@pytest.fixture
def one(tmp_path: Path) -> Jail:
    (tmp_path / "image/fs/app").mkdir(parents=True)
    (tmp_path / "image/venv/bin").mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    found = Jail(scratch=tmp_path / "scratch", image=tmp_path / "image", etc=tmp_path / "etc")
    jail.prepare(found)
    return found


def _pairs(words: list[str], flag: str) -> list[tuple[str, str]]:
    return [(words[i + 1], words[i + 2]) for i, w in enumerate(words) if w == flag]


def test_it_has_namespaces_of_its_own_and_no_environment(one: Jail) -> None:
    words = jail.argv("bwrap", one)
    for flag in (
        "--unshare-user",
        "--disable-userns",
        "--unshare-pid",
        "--as-pid-1",
        "--unshare-ipc",
        "--unshare-uts",
        "--clearenv",
        "--new-session",
        "--die-with-parent",
    ):
        assert flag in words
    assert "--unshare-net" not in words
    assert "--unshare-net" in jail.argv("bwrap", replace(one, apart=True))
    assert words[words.index("--cap-drop") + 1] == "ALL"
    assert not any("SYS_" in w or "NET_ADMIN" in w or "NET_RAW" in w for w in words)


def test_the_kernels_settings_are_covered_after_proc(one: Jail) -> None:
    words = jail.argv("bwrap", one)
    assert ("/proc/sys", "/proc/sys") in _pairs(words, "--ro-bind")
    assert words.index("/proc/sys") > words.index("--proc")
    assert ("/dev/null", "/proc/keys") in _pairs(words, "--ro-bind") or not Path("/proc/keys").exists()


def test_uv_is_there_to_be_run_and_not_to_be_changed(one: Jail, tmp_path: Path) -> None:
    words = jail.argv("bwrap", replace(one, uv=tmp_path / "uv"))
    assert (str(tmp_path / "uv"), "/opt/freehold/bin/uv") in _pairs(words, "--ro-bind")
    assert jail.environment({})["PATH"].endswith(":/opt/freehold/bin")


def test_only_its_own_layers_and_volumes_can_be_written(one: Jail, tmp_path: Path) -> None:
    words = jail.argv(
        "bwrap",
        replace(one, volumes=((tmp_path, "/data/deep", False), (tmp_path, "/data", True)), sockets=tmp_path / "s"),
    )
    uppers = [words[i + 1] for i, w in enumerate(words) if w == "--overlay"]
    assert all(u.startswith(str(one.scratch / "up")) for u in uppers)
    assert _pairs(words, "--bind") == [(str(tmp_path), "/data/deep")]
    assert (str(tmp_path), "/data") in _pairs(words, "--ro-bind")
    assert words.index("/data") < words.index("/data/deep")
    assert (str(tmp_path / "s"), "/run/freehold") in _pairs(words, "--ro-bind")


def test_a_snapshots_system_lies_over_the_machines(one: Jail) -> None:
    (one.image / "system/usr").mkdir(parents=True)
    found = {t.name: t.lowers for t in jail.trees(one)}
    assert found["usr"] == (Path("/usr"), one.image / "system/usr")
    assert found["root"] == (one.image / "fs",)
    with pytest.raises(ValueError, match="needs overlays"):
        jail.argv("bwrap", replace(one, mode="readonly"))


def test_of_an_interpreter_elsewhere_only_its_own_folders_are_seen(tmp_path: Path) -> None:
    for name in ("bin", "lib", "secrets"):
        (tmp_path / name).mkdir()
    assert jail.python_parts(tmp_path / "bin/python3") == [str(tmp_path / "bin"), str(tmp_path / "lib")]
    assert jail.python_parts(Path("/usr/bin/python3")) == []
    assert jail.python_parts(Path("/usr/local/bin/python3")) == []


def test_what_a_sandbox_locked_is_removed_all_the_same(tmp_path: Path) -> None:
    locked = tmp_path / "x/locked"
    (locked / "below").mkdir(parents=True)
    (tmp_path / "outside").mkdir(mode=0o755)
    (tmp_path / "x/link").symlink_to(tmp_path / "outside")
    locked.chmod(0)
    system.discard(tmp_path / "x")
    assert [p.name for p in tmp_path.iterdir()] == ["outside"]
    system.discard(tmp_path / "never")
