"""Cgroups on a made-up hierarchy of plain files."""

from pathlib import Path

import pytest

from freehold.launchers.process.cgroup import Cgroups


def proc(tmp_path: Path, text: str) -> Path:
    (tmp_path / "proc").write_text(text)
    return tmp_path / "proc"


def v1(tmp_path: Path, *controllers: str) -> Path:
    for name in controllers:
        (tmp_path / "cg" / name).mkdir(parents=True)
        (tmp_path / "cg" / name / "cgroup.procs").touch()
    return tmp_path / "cg"


@pytest.fixture(autouse=True)
def files_of_new_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel fills a new group with files; do as it does."""
    mkdir = Path.mkdir

    def filled(self: Path, *args: object, **kwargs: object) -> None:
        mkdir(self, *args, **kwargs)  # type: ignore[arg-type]
        if "freehold" in str(self):
            (self / "cgroup.procs").touch()

    monkeypatch.setattr(Path, "mkdir", filled)


def test_nothing_there_is_tolerated_and_said(tmp_path: Path) -> None:
    groups = Cgroups("abc", root=tmp_path / "none", proc=tmp_path / "none")
    assert all(text != "ok" for text in groups.guards().values())
    limits = groups.limits("in-1", memory_mib=100, cpu=1.0)
    assert limits.open() == []
    assert limits.kill() is False
    assert limits.oom() is False
    assert limits.remove() is True
    groups.close()


def test_v1_limits(tmp_path: Path) -> None:
    root = v1(tmp_path, "memory", "cpu")
    groups = Cgroups("abc", root=root, proc=proc(tmp_path, "4:memory:/\n1:cpu:/\n"))
    assert groups.guards()["cgroup_memory"] == "ok"
    assert groups.guards()["cgroup_kill"] != "ok"
    groups.limits("in-1", memory_mib=64, cpu=1.5)
    memory, cpu = root / "memory/freehold-abc/in-1", root / "cpu/freehold-abc/in-1"
    assert (memory / "memory.limit_in_bytes").read_text() == str(64 << 20)
    assert (cpu / "cpu.cfs_quota_us").read_text() == "150000"


def test_no_limit_no_group(tmp_path: Path) -> None:
    root = v1(tmp_path, "memory", "cpu")
    groups = Cgroups("abc", root=root, proc=proc(tmp_path, "4:memory:/\n1:cpu:/\n"))
    assert groups.limits("in-1", memory_mib=None, cpu=None).open() == []
    assert not (root / "memory/freehold-abc/in-1").exists()


def test_oom_is_read_from_the_group(tmp_path: Path) -> None:
    root = v1(tmp_path, "memory")
    groups = Cgroups("abc", root=root, proc=proc(tmp_path, "4:memory:/\n"))
    made = groups.limits("in-1", memory_mib=64, cpu=None)
    file = root / "memory/freehold-abc/in-1/memory.oom_control"
    file.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
    assert made.oom() is False
    file.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    assert made.oom() is True


def test_our_own_group_is_made_below_the_one_we_are_in(tmp_path: Path) -> None:
    root = v1(tmp_path, "memory")
    own = root / "memory/box/of/mine"
    own.mkdir(parents=True)
    Cgroups("abc", root=root, proc=proc(tmp_path, "4:memory:/box/of/mine\n"))
    assert (own / "freehold-abc").is_dir()
