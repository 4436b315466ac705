"""Cgroups where they can be made: limits an instance (v2, or v1 where only that has them), and the tree kill of v2 a warm parent.

Moving a process between groups costs some 10 ms (the kernel waits for an RCU period), so an instance is moved only for a limit;
the tree kill needs no move, since an instance is born in its parent's group.
"""

import contextlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

_PERIOD_US = 100_000


@dataclass(frozen=True, kw_only=True)
class Hierarchies:
    """Folders in which cgroups can be made; None where they cannot."""

    kill: Path | None = None  # v2, with cgroup.kill
    memory: Path | None = None
    cpu: Path | None = None
    pids: Path | None = None
    memory_v2: bool = False
    cpu_v2: bool = False


class Cgroup:
    """The cgroups of one instance."""

    def __init__(self, folders: list[Path], hierarchies: Hierarchies, name: str) -> None:
        self._folders, self._hierarchies, self._name = folders, hierarchies, name

    def open(self) -> list[int]:
        """Descriptors of cgroup.procs: whoever writes "0" there moves itself in."""
        return [os.open(folder / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC) for folder in self._folders]

    def files(self) -> list[str]:
        """The cgroup.procs themselves, for one that is to have no descriptor of them."""
        return [str(folder / "cgroup.procs") for folder in self._folders]

    def kill(self) -> bool:
        """Kill everything in it at once; tell whether that could be done."""
        for folder in self._folders:
            if folder.parent == self._hierarchies.kill:
                with contextlib.suppress(OSError):
                    (folder / "cgroup.kill").write_text("1")
                    return True
        return False

    def pids(self) -> list[int]:
        found: set[int] = set()
        for folder in self._folders:
            with contextlib.suppress(OSError):
                found |= {int(p) for p in (folder / "cgroup.procs").read_text().split()}
        return sorted(found)

    def oom(self) -> bool:
        """Whether the memory limit killed something in it."""
        if self._hierarchies.memory is None or not self._folders:
            return False
        folder = self._hierarchies.memory / self._name
        name = "memory.events" if self._hierarchies.memory_v2 else "memory.oom_control"
        with contextlib.suppress(OSError):
            fields = dict(line.split() for line in (folder / name).read_text().splitlines())
            return int(fields.get("oom_kill", 0)) > 0
        return False

    def remove(self) -> bool:
        """Remove the empty groups; tell whether all are gone."""
        left = [f for f in self._folders if not _rmdir(f)]
        self._folders = left
        return not left


class Cgroups:
    """Makes cgroups below a group of this server's own, and clears what a killed server left behind."""

    def __init__(
        self, home_id: str, *, root: Path = Path("/sys/fs/cgroup"), proc: Path = Path("/proc/self/cgroup")
    ) -> None:
        self._base = f"freehold-{home_id}"
        self.hierarchies = _find(root, proc, self._base)
        self._clear()

    def guards(self) -> dict[str, str]:
        """What works, by name, and the fix for what does not."""
        h = self.hierarchies
        fix = "run as root, or in a delegated cgroup (systemd-run --user --scope -p Delegate=yes)"
        return {
            "cgroup_kill": "ok"
            if h.kill
            else f"no cgroup v2 that can be written: process trees are ended one by one; {fix}",
            "cgroup_memory": "ok" if h.memory else f"memory limits are not enforced: {fix}",
            "cgroup_cpu": "ok" if h.cpu else f"cpu limits are not enforced: {fix}",
            "cgroup_pids": "ok" if h.pids else f"a sandbox's processes are counted by their user only: {fix}",
        }

    def tree(self, name: str) -> Cgroup:
        """Make a group for the tree kill."""
        return self._make(name, [self.hierarchies.kill])

    def limits(
        self, instance: str, *, memory_mib: int | None, cpu: float | None, processes: int | None = None
    ) -> Cgroup:
        """Make the groups that hold one instance to its limits; none when it has none."""
        h = self.hierarchies
        made = self._make(
            instance, [h.memory if memory_mib else None, h.cpu if cpu else None, h.pids if processes else None]
        )
        if processes and h.pids:
            with contextlib.suppress(OSError):
                (h.pids / instance / "pids.max").write_text(str(processes))
        if memory_mib and h.memory:
            _limit_memory(h.memory / instance, memory_mib * 1024 * 1024, v2=h.memory_v2)
        if cpu and h.cpu:
            _limit_cpu(h.cpu / instance, cpu, v2=h.cpu_v2)
        return made

    def _make(self, name: str, parents: list[Path | None]) -> Cgroup:
        folders: list[Path] = []
        for parent in dict.fromkeys(parents):
            if parent is not None:
                with contextlib.suppress(OSError):
                    (parent / name).mkdir(exist_ok=True)
                    folders.append(parent / name)
        return Cgroup(folders, self.hierarchies, name)

    def close(self) -> None:
        """Remove our own groups; those that still hold something stay."""
        for parent in self._parents():
            _clear(parent)
            _rmdir(parent)

    def _clear(self) -> None:
        for parent in self._parents():
            _clear(parent)

    def _parents(self) -> list[Path]:
        h = self.hierarchies
        return [p for p in dict.fromkeys([h.kill, h.memory, h.cpu, h.pids]) if p is not None]


def _find(root: Path, proc: Path, name: str) -> Hierarchies:
    own: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in proc.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            own |= dict.fromkeys(controllers.split(",") if controllers else ["v2"], path)
    v2_root = next((p for p in (root, root / "unified") if (p / "cgroup.controllers").exists()), None)
    v2 = _usable(v2_root, own.get("v2", "/"), name) if v2_root else None
    controllers = _enable(v2) if v2 else set[str]()
    return Hierarchies(
        kill=v2 if v2 and _kills(v2) else None,
        memory=v2 if "memory" in controllers else _usable(root / "memory", own.get("memory", "/"), name),
        cpu=v2 if "cpu" in controllers else _usable(root / "cpu", own.get("cpu", "/"), name),
        pids=v2 if "pids" in controllers else _usable(root / "pids", own.get("pids", "/"), name),
        memory_v2="memory" in controllers,
        cpu_v2="cpu" in controllers,
    )


def _usable(root: Path, own: str, name: str) -> Path | None:
    """A group of ours below our own group, else below the root; None where neither can be made."""
    if not root.is_dir() or not (root / "cgroup.procs").exists():
        return None
    for parent in dict.fromkeys([root / own.lstrip("/"), root]):
        folder = parent / name
        with contextlib.suppress(OSError):
            folder.mkdir(exist_ok=True)
            if os.access(folder / "cgroup.procs", os.W_OK):
                return folder
    return None


def _enable(group: Path) -> set[str]:
    """Hand memory, cpu and pids down to the groups below; a group that holds processes cannot, and then we go without."""
    have: set[str] = set()
    for controller in ("memory", "cpu", "pids"):
        with contextlib.suppress(OSError):
            if controller not in (group / "cgroup.controllers").read_text().split():
                (group.parent / "cgroup.subtree_control").write_text(f"+{controller}")
            (group / "cgroup.subtree_control").write_text(f"+{controller}")
            have.add(controller)
    return have


def _kills(group: Path) -> bool:
    trial = group / f"trial-{secrets.token_hex(4)}"
    try:
        trial.mkdir()
        return (trial / "cgroup.kill").exists()
    except OSError:
        return False
    finally:
        _rmdir(trial)


def _limit_memory(group: Path, limit: int, *, v2: bool) -> None:
    with contextlib.suppress(OSError):
        (group / ("memory.max" if v2 else "memory.limit_in_bytes")).write_text(str(limit))
    with contextlib.suppress(OSError):  # no swap beside it; absent where swap accounting is off
        (group / ("memory.swap.max" if v2 else "memory.memsw.limit_in_bytes")).write_text("0" if v2 else str(limit))


def _limit_cpu(group: Path, cores: float, *, v2: bool) -> None:
    quota = max(1_000, int(cores * _PERIOD_US))
    with contextlib.suppress(OSError):
        if v2:
            (group / "cpu.max").write_text(f"{quota} {_PERIOD_US}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota))


def _clear(parent: Path) -> None:
    with contextlib.suppress(OSError):
        for folder in [f for f in parent.iterdir() if f.is_dir()]:
            with contextlib.suppress(OSError):
                (folder / "cgroup.kill").write_text("1")
            _rmdir(folder)


def _rmdir(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
