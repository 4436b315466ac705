"""`freehold doctor`: what this machine has, and how to get what it lacks."""

import contextlib
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import typer

from freehold.cli import control
from freehold.cli.ask import Json
from freehold.cli.errors import ExitCode
from freehold.cli.local import holder
from freehold.cli.output import listing, size
from freehold.cli.table import Column
from freehold.core.errors import Error
from freehold.core.home import Home
from freehold.launchers.process import system
from freehold.launchers.process.sandbox import all_bwraps, find_bwrap, probe

_GIB = 1 << 30
_FIXED_SQLITE = (3, 51, 3)
_FEW_FILES = 1024


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One check. `warn` means that Freehold works, with less."""

    check: str
    verdict: Literal["ok", "warn", "fail"]
    found: str
    fix: str = ""


_FINDINGS: list[Column[Finding]] = [
    Column("CHECK", lambda f: f.check),
    Column("VERDICT", lambda f: _mark(f.verdict)),
    Column("FOUND", lambda f: f.found, prose=True),
    Column("FIX", lambda f: f.fix, prose=True),
]


def doctor(as_json: Json = False) -> None:
    """Check this machine, and say how to fix what is missing. Ends with 9 when something needed is missing.

    Example: [bold]freehold doctor --json[/bold]
    """
    findings = [finding for check in _CHECKS for finding in check()]
    listing(findings, _FINDINGS, as_json=as_json, empty="nothing was checked")
    if any(f.verdict == "fail" for f in findings):
        raise typer.Exit(ExitCode.SERVER)


def _mark(verdict: str) -> object:
    from rich.text import Text

    return Text(verdict, style={"ok": "green", "warn": "yellow", "fail": "bold red"}[verdict])


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 11)
    yield Finding(
        check="python",
        verdict="ok" if good else "fail",
        found=version,
        fix="" if good else "install Python 3.11 or newer",
    )


def _sqlite() -> Iterator[Finding]:
    import sqlite3

    good = sqlite3.sqlite_version_info >= _FIXED_SQLITE
    fix = "" if good else "safe as one server process writes; 3.51.3 or newer also fixes its WAL bug for several"
    yield Finding(check="sqlite", verdict="ok" if good else "warn", found=sqlite3.sqlite_version, fix=fix)


def _uv() -> Iterator[Finding]:
    path = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if path is None:
        yield Finding(check="uv", verdict="fail", found="not found", fix="pip install uv (images are built with it)")
        return
    yield Finding(check="uv", verdict="ok", found=_first_line([path, "--version"]) or path)


def _bubblewrap() -> Iterator[Finding]:
    path = find_bwrap()
    level, why = probe(path)
    if level == "none":
        yield Finding(check="bubblewrap", verdict="warn", found=path or "not found", fix=why)
        return
    yield Finding(check="bubblewrap", verdict="ok", found=f"{path}{'' if level == 'pids' else f', {why}'}")


def _layers() -> Iterator[Finding]:
    home = Home.default()
    if home.root.is_dir() and os.access(home.root, os.W_OK):
        bwrap, why = system.find(home.root / "scratch", all_bwraps())
        found = bwrap or "steps cannot change the system, and apt_install needs the machine's packages"
        yield Finding(check="image layers", verdict="ok" if bwrap else "warn", found=found, fix="" if bwrap else why)


def _cgroups() -> Iterator[Finding]:
    root = Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists():
        controllers = (root / "cgroup.controllers").read_text().split()
        good = {"cpu", "memory"} <= set(controllers) and os.access(root, os.W_OK)
        fix = (
            ""
            if good
            else "run as root, or under `systemd-run --user --scope -p Delegate=yes`, for memory and cpu limits"
        )
        found = f"version 2, {' '.join(controllers) or 'no controllers'}{'' if os.access(root, os.W_OK) else ', not writable'}"
        yield Finding(check="cgroups", verdict="ok" if good else "warn", found=found, fix=fix)
        return
    v1 = [name for name in ("cpu", "memory") if os.access(root / name, os.W_OK)]
    good = len(v1) == 2
    yield Finding(
        check="cgroups",
        verdict="ok" if good else "warn",
        found=f"version 1, {' '.join(v1)}" if v1 else "none writable",
        fix="" if good else "run as root for memory and cpu limits; without them limits are not kept",
    )


def _shared_memory() -> Iterator[Finding]:
    try:
        total = shutil.disk_usage("/dev/shm").total  # noqa: S108 (looked at, not written)
    except OSError:
        yield Finding(
            check="shared memory", verdict="fail", found="no /dev/shm", fix="mount -t tmpfs -o size=2g tmpfs /dev/shm"
        )
        return
    good = total >= _GIB
    yield Finding(
        check="shared memory", verdict="ok" if good else "warn", found=size(total),
        fix="" if good else "mount -o remount,size=2g /dev/shm (large arguments ride there; docker: --shm-size 2g)",
    )  # fmt: skip


def _home() -> Iterator[Finding]:
    home = Home.default().root
    place = next(p for p in (home, *home.parents) if p.exists())
    elsewhere = "or set FREEHOLD_HOME to another folder"
    if home.exists() and home.stat().st_uid != os.getuid():
        owner = home.stat().st_uid
        yield Finding(
            check="home", verdict="fail", found=f"{home} belongs to user {owner}", fix=f"run as that user, {elsewhere}"
        )
    elif not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        fix = f"make it writable (its owner, its permissions, its mount), {elsewhere}"
        yield Finding(check="home", verdict="fail", found=f"{place} cannot be written", fix=fix)
    else:
        yield Finding(check="home", verdict="ok", found=str(home))


def _disk() -> Iterator[Finding]:
    home = Home.default().root
    place = next(p for p in (home, *home.parents) if p.exists())
    free, found = shutil.disk_usage(place).free, os.statvfs(place)
    verdict = "ok" if free > 5 * _GIB else "warn" if free > _GIB else "fail"
    shown = f"{size(free)} free for {home}"
    if found.f_files and found.f_favail < _FEW_FILES:
        verdict, shown = "fail", f"room for {found.f_favail} more files only, for {home}"
    fix = "" if verdict == "ok" else f"free some space on {place}, or set FREEHOLD_HOME to a larger disk"
    yield Finding(check="disk", verdict=verdict, found=shown, fix=fix)


def _database() -> Iterator[Finding]:
    import sqlite3

    path = Home.default().database
    if not path.exists():
        return
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
            wrong = [row[0] for row in db.execute("PRAGMA integrity_check(1)") if row[0] != "ok"]
    except sqlite3.Error as error:
        wrong = [str(error)]
    if wrong:
        fix = f"stop the server, then restore a backup of {path}"
        yield Finding(check="database", verdict="fail", found=f"damaged: {wrong[0]}", fix=fix)
    else:
        yield Finding(check="database", verdict="ok", found=f"{size(path.stat().st_size)}, whole")


def _limits() -> Iterator[Finding]:
    limits = [("files", resource.RLIMIT_NOFILE, "-n"), ("processes", resource.RLIMIT_NPROC, "-u")]
    for name, number, flag in limits:
        soft, hard = resource.getrlimit(number)
        least = hard if number == resource.RLIMIT_NOFILE else soft  # the server raises this one by itself
        good = least in (resource.RLIM_INFINITY, 0) or least >= _FEW_FILES
        shown = "no limit" if least == resource.RLIM_INFINITY else f"at most {least}"
        fix = "" if good else f"raise it before `freehold up`: ulimit {flag} 65536 (each instance takes several)"
        yield Finding(check=name, verdict="ok" if good else "warn", found=shown, fix=fix)


def _gpu() -> Iterator[Finding]:
    declared = os.environ.get("FREEHOLD_DEVICES")
    if declared:
        yield Finding(check="gpu", verdict="ok", found=f"declared (simulated): {declared}")
        return
    tool = shutil.which("nvidia-smi")
    names = _first_line([tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]) if tool else ""
    if names:
        yield Finding(check="gpu", verdict="ok", found=names)
    elif Path("/dev/nvidia0").exists():
        yield Finding(
            check="gpu",
            verdict="warn",
            found="/dev/nvidia0, but no driver answers",
            fix="install the NVIDIA driver that fits the kernel",
        )
    else:
        yield Finding(check="gpu", verdict="ok", found="none; FREEHOLD_DEVICES=A10G:1 declares a simulated one")


def _server() -> Iterator[Finding]:
    try:
        view = control.status(control.connect())
    except ConnectionError as error:
        if isinstance(error, Error) and holder(Home.default()) is None:
            yield Finding(
                check="server", verdict="warn", found=str(error).partition(":")[0], fix="freehold up --detach"
            )
            yield from _port()
            return
        yield _trouble(error)
        return
    except Error as error:
        yield _trouble(error)
        return
    yield Finding(check="server", verdict="ok", found=f"{view.url}, freehold {view.version}, pid {view.pid}")
    guards = {name: state for name, state in view.guards.items() if name != "sqlite"}  # `_sqlite` tells
    absent = {name: state for name, state in guards.items() if state != "ok"}
    if not absent:
        yield Finding(check="guards", verdict="ok", found=", ".join(guards))
    for name, state in absent.items():
        yield Finding(check=f"guard {name}", verdict="warn", found="missing", fix=state)


def _trouble(error: Exception) -> Finding:
    """A server that is there, and does not serve us: of another version, another's token, one that starts or ends."""
    problem, _, fix = str(error).partition(": ")
    return Finding(check="server", verdict="fail", found=problem, fix=fix or "freehold down, then freehold up --detach")


def _port() -> Iterator[Finding]:
    from freehold.server.settings import load

    settings = load()
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            fix = "start with another: freehold up --port 9000 (or FREEHOLD_PORT)"
            yield Finding(
                check="port",
                verdict="warn",
                found=f"{settings.host}:{settings.port} is taken ({error.strerror})",
                fix=fix,
            )
            return
    yield Finding(check="port", verdict="ok", found=f"{settings.host}:{settings.port} is free")


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().partition("\n")[0] if done.returncode == 0 else ""


_CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _python, _sqlite, _uv, _bubblewrap, _layers, _cgroups, _shared_memory, _limits, _home, _disk, _database, _gpu, _server,
)  # fmt: skip
