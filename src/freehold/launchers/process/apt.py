"""Debian packages: whether those that an image names are on this machine, and where they go when they are not: into the image, else onto the machine
where that is allowed.
"""

import asyncio
import os
import re
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from freehold.core.errors import ImageBuildError

Log = Callable[[str], None]
MissingApt = Literal["error", "warn"]
_STALE_S = 24 * 3600.0
_LISTS = Path("/var/lib/apt/lists")
_PACKAGE = re.compile(r"(?P<name>[a-z0-9][a-z0-9+.-]*)(?::[a-z0-9-]+)?(?:=(?P<version>\S+)|/\S+)?")
_FORMAT = "${db:Status-Abbrev}\t${Package}\t${Version}\t${Provides}\n"
# packages that went under another name, and what has their content now
_NOW = {
    "libgl1-mesa-glx": "libgl1", "libgl1-mesa-dev": "libgl-dev", "libegl1-mesa": "libegl1", "libgles2-mesa": "libgles2",
    "libosmesa6": "libosmesa6", "libtinfo5": "libtinfo6", "libncurses5": "libncurses6", "libtiff5": "libtiff6", "libwebp6": "libwebp7",
    "netcat": "netcat-openbsd", "python-is-python2": "python-is-python3", "python3-distutils": "python3", "software-properties-common": "apt",
    "apt-transport-https": "apt", "dnsutils": "bind9-dnsutils",
}  # fmt: skip
# packages whose whole point is a command: it does as well when it came some other way
_COMMANDS = {
    "git": ("git",), "git-lfs": ("git-lfs",), "curl": ("curl",), "wget": ("wget",), "ffmpeg": ("ffmpeg", "ffprobe"), "unzip": ("unzip",),
    "zip": ("zip",), "jq": ("jq",), "rsync": ("rsync",), "make": ("make",), "cmake": ("cmake",), "gcc": ("gcc",), "g++": ("g++",),
    "build-essential": ("gcc", "g++", "make"), "clang": ("clang",), "ninja-build": ("ninja",), "nodejs": ("node",), "npm": ("npm",),
    "procps": ("ps",), "aria2": ("aria2c",), "tesseract-ocr": ("tesseract",), "poppler-utils": ("pdftotext",), "graphviz": ("dot",),
    "imagemagick": ("convert",), "openssh-client": ("ssh",), "postgresql-client": ("psql",), "redis-server": ("redis-server",),
    "xz-utils": ("xz",), "zstd": ("zstd",), "pandoc": ("pandoc",), "sox": ("sox",), "tmux": ("tmux",), "vim": ("vim",), "nano": ("nano",),
}  # fmt: skip
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # what an image's view has of it
_INSTALL = """
apt-get -q update
wanted=
for word; do
    name=${word%%|*}
    apt-cache show "${name%%[=/:]*}" >/dev/null 2>&1 || name=${word##*|}
    wanted="$wanted $name"
done
exec apt-get -q install -y --no-install-recommends $wanted
"""
_EASY = r"[^&|;<>()`$\"'\n]"
_HEAD = re.compile(rf"^\s*(?:sudo\s+)?(?:[A-Z_]+=\S+\s+)*apt(?:-get)?(?=\s)(?P<words>{_EASY}*?)\s*(?:&&|;|$)")
_TAIL = re.compile(
    r"(?:&&|;)\s*(?:sudo\s+)?(?:rm\s+-rf?\s+/var/lib/apt/lists/?\*?|apt(?:-get)?\s+(?:auto)?(?:clean|remove)(?:\s+-y)?)\s*;?\s*$"
)
_HARMLESS = ("update", "clean", "autoclean", "autoremove", "upgrade", "dist-upgrade", "full-upgrade")


class Run(Protocol):
    """How a build runs a program, its output in the build's log; ImageBuildError with its last lines when it fails."""

    def __call__(self, title: str, argv: list[str], *, env: dict[str, str]) -> Awaitable[None]: ...


@dataclass(frozen=True, kw_only=True)
class Verdict:
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Inside:
    """An image whose system can be written. `status`: the folder that says what is installed in it, once that is not what the machine has."""

    install: Callable[[tuple[str, ...]], Awaitable[None]]
    status: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Provided:
    """`inside`: what was missing is in the image now. `lacking`: what is nowhere."""

    inside: bool = False
    lacking: tuple[str, ...] = ()


@dataclass
class Apt:
    """The packages of this machine. `installs`: what is missing may be installed on it, for everyone; `missing`: what still is, ends the build or not;
    `flat`: why images cannot have packages of their own.
    """

    installs: bool = False
    missing: MissingApt = "error"
    flat: str = ""
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def provide(
        self, packages: Iterable[str], title: str, run: Run, log: Log, image: Inside | None = None
    ) -> Provided:
        """Return when all packages are there; ImageBuildError, or a warning, names those that are not, with the ways to get them."""
        wanted = tuple(packages)
        verdict = await asyncio.to_thread(_look, wanted, image.status if image else None)
        if verdict.missing and self.installs:
            async with self._one:
                await self._install(verdict.missing, title, run)
            verdict = await asyncio.to_thread(_look, wanted)
        elif verdict.missing and image is not None:
            return await self._into(image, verdict.missing, title, log)
        for note in verdict.notes:
            log(f"warning: {note}")
        if verdict.missing and self.missing == "error":
            raise ImageBuildError(self._refusal(verdict.missing, title))
        if verdict.missing:
            log(
                f"warning: {title}: {_lack(verdict.missing)}: what uses them fails. Run `sudo apt-get install {_names(verdict.missing)}`"
            )
        if present := [p for p in wanted if p not in verdict.missing]:
            log(f"on this machine: {' '.join(present)}")
        return Provided(lacking=verdict.missing)

    async def _into(self, image: Inside, missing: tuple[str, ...], title: str, log: Log) -> Provided:
        try:
            await image.install(missing)
        except ImageBuildError as error:
            if self.missing == "error":
                raise
            log(f"warning: {error}")
            log(f"warning: {title}: the image lacks {', '.join(missing)}: what uses them fails")
            return Provided(lacking=missing)
        return Provided(inside=True)

    async def _install(self, missing: tuple[str, ...], title: str, run: Run) -> None:
        if shutil.which("apt-get") is None or os.geteuid() != 0:
            why = (
                "this machine has no apt-get" if shutil.which("apt-get") is None else "the server does not run as root"
            )
            raise ImageBuildError(f"{title}: host_apt is on, but {why}. {self._refusal(missing, title)}")
        quiet = {"DEBIAN_FRONTEND": "noninteractive", "PATH": _SYSTEM_PATH}
        patient = ["apt-get", "-o", "DPkg::Lock::Timeout=600", "-o", "Dpkg::Use-Pty=0", "-q"]
        if lists_age_s(time.time()) > _STALE_S:
            await run(f"{title}: apt-get update", [*patient, "update"], env=quiet)
        await run(title, [*patient, "install", "-y", "--no-install-recommends", *_names(missing).split()], env=quiet)

    def _refusal(self, missing: tuple[str, ...], title: str) -> str:
        flat = f", and no image can have packages of its own here: {self.flat}" if self.flat else ""
        return f"{title}: {_lack(missing)}{flat}. {ways_out(missing)}"


def ways_out(missing: tuple[str, ...]) -> str:
    """What a person can do about packages that are missing."""
    users = "" if os.geteuid() == 0 else " (packages that make users of their own need a server that runs as root)"
    return (
        f"Run `sudo apt-get install {_names(missing)}`, let builds do so with `freehold up --host-apt` (as root), or build without them with "
        f"`freehold up --missing-apt warn` where the program's wheels bring what they need{users}"
    )


def install_words(missing: tuple[str, ...]) -> tuple[str, ...]:
    """The command that installs packages in an image; those that went under another name, under the one that its system knows."""
    names = (f"{text}|{_NOW.get(_name(text), text)}" for text in missing)
    return ("/bin/sh", "-ec", _INSTALL, "sh", *names)


def lists_age_s(now: float, folder: Path = _LISTS) -> float:
    """How old the youngest of apt's package lists is; without any, older than all."""
    try:
        times = [
            p.stat().st_mtime
            for p in folder.iterdir()
            if p.name.endswith(("Packages", "InRelease", ".lz4", ".gz", ".xz"))
        ]
    except OSError:
        times = []
    return now - max(times) if times else float("inf")


def judge(packages: Iterable[str], there: Mapping[str, str], has_command: Callable[[str], bool]) -> Verdict:
    """Compare what is wanted with what is there. `there`: versions by name, of packages and of what they provide."""
    missing: list[str] = []
    notes: list[str] = []
    for text in packages:
        name, version = _name(text), _version(text)
        found = next((n for n in (name, _NOW.get(name, name), f"{name}t64") if n in there), None)
        if found is None and not (name in _COMMANDS and all(has_command(c) for c in _COMMANDS[name])):
            missing.append(text)
        elif found is not None and version and there[found] and not _is_version(there[found], version):
            notes.append(f"apt_install {text}: this machine has {found} {there[found]}")
    return Verdict(missing=tuple(missing), notes=tuple(notes))


def parse_installed(text: str) -> dict[str, str]:
    """Versions by name from what `dpkg-query` shows in our format; what a package provides has its version where it says one."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        status, _, rest = line.partition("\t")
        name, version, provides = (*rest.split("\t"), "", "")[:3]
        if status[1:2] != "i":
            continue
        found[name] = version
        for one in filter(None, (p.strip() for p in provides.split(","))):
            given, _, detail = one.partition(" ")
            found.setdefault(given.partition(":")[0], detail.strip("()= "))
    return found


def peel(command: str) -> tuple[tuple[str, ...], str]:
    """The packages that a shell command begins with installing by apt, and the rest of it."""
    packages: list[str] = []
    while (match := _HEAD.match(command)) is not None:
        words = [w for w in match["words"].split() if not w.startswith("-")]
        if not words or words[0] not in ("install", *_HARMLESS) or not all(map(_PACKAGE.fullmatch, words[1:])):
            break
        packages += words[1:] if words[0] == "install" else []
        command = command[match.end() :].strip()
    if not packages:
        return (), command
    while (tail := _TAIL.search(f"&& {command}")) is not None:
        command = f"&& {command}"[: tail.start()].removeprefix("&&").strip()
    return tuple(packages), command


# ---- how


def _look(packages: tuple[str, ...], status: Path | None = None) -> Verdict:
    query = shutil.which("dpkg-query")
    text = ""
    if query is not None:
        where = ["--admindir", str(status)] if status else []
        text = subprocess.run([query, *where, "-W", "-f", _FORMAT], check=False, capture_output=True, text=True).stdout
    return judge(packages, parse_installed(text), lambda c: shutil.which(c, path=_SYSTEM_PATH) is not None)


def _name(text: str) -> str:
    match = _PACKAGE.fullmatch(text)
    if match is None:
        raise ImageBuildError(
            f"apt_install: {text!r} is not the name of a Debian package, such as 'ffmpeg' or 'curl=7.88.1-10'"
        )
    return match["name"]


def _version(text: str) -> str | None:
    match = _PACKAGE.fullmatch(text)
    return match["version"] if match else None


def _is_version(there: str, wanted: str) -> bool:
    return there.startswith(wanted[:-1]) if wanted.endswith("*") else there == wanted


def _lack(missing: tuple[str, ...]) -> str:
    return f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not on this machine"


def _names(missing: tuple[str, ...]) -> str:
    return " ".join(_NOW.get(_name(p), p) for p in missing)
