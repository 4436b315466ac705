"""One build: a uv venv and the files that steps write, command by command."""

import asyncio
import contextlib
import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from freehold.core.environments import MAIN
from freehold.core.errors import ImageBuildError
from freehold.core.home import Home
from freehold.launchers.contract import Attachments
from freehold.launchers.process import base_venv, interpreters, sandbox, system
from freehold.launchers.process.apt import Apt as HostPackages
from freehold.launchers.process.apt import Inside, install_words, ways_out
from freehold.launchers.process.commands import (
    Apt,
    Call,
    Command,
    Copy,
    Host,
    Pip,
    Plan,
    Poetry,
    Shell,
    Sync,
    Write,
    over,
)
from freehold.launchers.process.inside.place import place
from freehold.launchers.process.interpreters import Interpreter
from freehold.launchers.process.recipe import runner_requirements
from freehold.launchers.process.sandbox import Level, View
from freehold.launchers.process.system import System

Log = Callable[[str], None]
LAYOUT = 8  # of an image's folder; another number builds anew
_LAST_LINES = 15
_COMMAND = '#!/bin/sh\nexec "$(dirname "$(readlink -f "$0")")/python" -m freehold.cli.main "$@"\n'
INSIDE = Path(__file__).parent / "inside"
_SOURCE, _PLACING = "/tmp/.files", "/tmp/.placing"  # noqa: S108 (inside the view)
_ENTER = 'mkdir -p "$0" && cd "$0" && exec "$@"'  # by the links of the image
_READ_ONLY = "Read-only file system"
_HIDDEN_MIN = 4  # shorter values of secrets are words that logs are full of
_PASSED_ON = (
    "PIP_",
    "UV_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
)
_KEPT = ("HOME", "LANG", "TZ", "USER", "TMPDIR", "LD_LIBRARY_PATH", "XDG_CACHE_HOME")
# settings of the user's that hold for the user's packages: the runner's are pinned, and newer than any of them
_UV_ONLY_THEIRS = (
    "UV_EXCLUDE_NEWER",
    "UV_RESOLUTION",
    "UV_CONSTRAINT",
    "UV_OVERRIDE",
    "UV_REQUIRE_HASHES",
    "UV_NO_BINARY",
)
_UV_ONLY_OURS = ("UV_PROJECT_ENVIRONMENT", "UV_SYSTEM_PYTHON", "UV_PYTHON", "UV_TARGET")


def package_dir() -> Path:
    """The folder of the `freehold` package that this process runs."""
    return Path(__file__).resolve().parents[2]


def library(home: Home) -> Path:
    """A folder that holds only `freehold`, and what stands as `modal`, for the path of every image; it follows the package that this process runs."""
    folder, package = home.images / "lib", package_dir()
    for name, target in (("freehold", package), ("modal", package / "modal/shim/modal")):
        link = folder / name
        if not link.is_symlink() or link.readlink() != target:
            folder.mkdir(parents=True, exist_ok=True)
            fresh = folder / f".{name}-{secrets.token_hex(4)}"
            fresh.symlink_to(target)
            fresh.replace(link)
    return folder


@dataclass(frozen=True)
class Runs:
    """How the commands of a build see the machine, and what they may change of it."""

    bwrap: str | None
    level: Level
    packages: HostPackages = field(default_factory=HostPackages)
    flat: str = ""  # why steps cannot change the system; empty where they can


class Build:
    """One build, in `scratch`: a relocatable venv, `fs` with what steps write below "/", and `system` with what they change of the machine's own folders."""

    def __init__(self, home: Home, scratch: Path, log: Log, runs: Runs, attachments: Attachments) -> None:
        self._home, self._scratch, self._log, self._runs, self._attachments = home, scratch, log, runs, attachments
        self._venv, self._fs, self._tmp = scratch / "venv", scratch / "fs", scratch / "tmp"
        self._uv = _uv()
        self._hidden: set[str] = set()  # values of secrets, which no log line and no error may show
        self._at = ""  # the step, for errors
        self._system: System | None = None
        self._lacks: list[str] = []  # packages that the build goes on without
        (self._fs / "root").mkdir(parents=True)
        self._tmp.mkdir()

    async def make_base(self, python: Interpreter) -> None:
        """Make the venv that images with this interpreter begin with."""
        self._log(f"==> base venv with {python.path}")
        options = ("--relocatable", "--seed", "--no-project")
        await self._do("create the venv", [self._uv, "venv", *options, "--python", str(python.path), str(self._venv)])
        await self._install("install the runner's packages", runner_requirements(), without=_UV_ONLY_THEIRS)

    async def run(self, plan: Plan, base_of: Callable[[Interpreter], Awaitable[Path]]) -> None:
        """Make the image. `base_of` gives the venv to begin with."""
        begun = time.monotonic()
        there = await asyncio.to_thread(interpreters.find)
        python, warning = interpreters.choose(plan.python, there)
        for note in (*plan.notes, *([warning] if warning else [])):
            self._log(f"warning: {note}")
        self._python = python.path
        self._log(f"==> venv with {python.path}")
        await asyncio.to_thread(base_venv.share, await base_of(python), self._venv)
        self._put_library()
        if not self._runs.flat:
            self._system = System(trees=system.trees(self._home), scratch=self._scratch)
            system.prepare_build(self._system, self._fs)
        for number, command in enumerate(plan.commands, 1):
            self._at = f"step {number} of {len(plan.commands)}, "
            self._log(f"==> step {number} of {len(plan.commands)}: {command.title}")
            await self._step(command)
        layered = self._system is not None and await asyncio.to_thread(system.publish, self._scratch)
        made = {
            "layout": LAYOUT,
            "python": f"3.{python.minor}",
            "env": plan.env,
            "workdir": plan.workdir,
            "size_bytes": await asyncio.to_thread(_size_bytes, self._venv, self._fs, self._scratch / "system"),
        }
        made |= {"system": system.release()} if layered else {}
        made |= {"lacks": self._lacks} if self._lacks and self._runs.flat else {}
        (self._scratch / "image.json").write_text(json.dumps(made, indent=1))
        self._log(f"==> built in {time.monotonic() - begun:.1f} s")

    async def _step(self, command: Command) -> None:
        command = replace(command, env=command.env | await self._secrets(command))
        match command.work:
            case Shell(argv):
                await self._inside(command, list(argv))
            case Pip() as work:
                await self._pip(command, work)
            case Apt() as work:
                await self._apt(command, work)
            case Call(step):
                await self._call(command, step)
            case Sync(args):
                await self._sync(command, args)
            case Poetry(args):
                await self._poetry(command, args)
            case Copy() as work:
                await self._place(command, await self._attachments.files(work.digest), work.remote, work.sources or ())
            case Write(remote=remote, text=text):
                folder = self._tmp / f".{secrets.token_hex(4)}"
                folder.mkdir()
                (folder / "text").write_text(text)
                await self._place(command, folder, remote, ("text",))

    async def _secrets(self, command: Command) -> dict[str, str]:
        values: dict[str, str] = {}
        for secret in command.secrets:
            values |= await self._attachments.secret(
                secret.get("sealed") or secret["name"], workspace=secret.get("workspace", MAIN)
            )
        lines = (line.strip() for value in values.values() for line in value.splitlines())
        self._hidden |= {line for line in lines if len(line) >= _HIDDEN_MIN}
        return values

    async def _place(self, command: Command, source: Path, remote: str, patterns: tuple[str, ...]) -> None:
        if self._system is None:
            try:
                await asyncio.to_thread(place, source, remote, patterns, self._beneath)
            except OSError as error:
                raise ImageBuildError(f"{self._at}{command.title}: {error}") from None
            return
        program = [str(self._python), "-I", "-S", "-B", f"{_PLACING}/place.py", _SOURCE, remote, *patterns]
        await self._inside(command, program, files=((source, _SOURCE), (INSIDE, _PLACING)))

    async def _apt(self, command: Command, work: Apt) -> None:
        async def install(missing: tuple[str, ...]) -> None:
            try:
                await self._inside(command, list(work.written or install_words(missing)))
            except ImageBuildError as error:
                told, _, last = str(error).partition("\n")
                raise ImageBuildError(f"{told}. {ways_out(missing)}\n{last}" if missing else str(error)) from None

        if self._system is not None and not work.packages:
            await install(())
            return
        status = self._scratch / "up/dpkg"
        own = Inside(install=install, status=status if (status / "status").is_file() else None)
        there = await self._runs.packages.provide(
            work.packages, f"{self._at}{command.title}", self._on_host, self._log, own if self._system else None
        )
        self._lacks += there.lacking
        if work.rest and not (there.inside and work.written):
            await self._inside(command, list(work.rest))

    async def _pip(self, command: Command, work: Pip) -> None:
        arguments = list(work.arguments)
        listed = self._scratch / "requirements.txt"
        if work.requirements:
            listed.write_text("\n".join(work.requirements) + "\n")
            arguments += ["--requirements", str(listed)]
        try:
            await self._install(command.title, tuple(arguments), env=command.env)
        except ImageBuildError as error:
            if "ailed to build" not in str(error):
                raise
            fix = f"it has no wheel for {self._python.name}: name a version that has one, or a python_version that it was made for"
            raise ImageBuildError(f"{error}\n    {fix}") from None

    async def _install(
        self, title: str, arguments: tuple[str, ...], env: dict[str, str] | None = None, without: tuple[str, ...] = ()
    ) -> None:
        argv = [
            self._uv,
            "pip",
            "install",
            "--python",
            str(self._venv / "bin/python"),
            "--no-progress",
            "--compile-bytecode",
            *arguments,
        ]
        await self._do(title, argv, env=env, without=without)

    def _put_library(self) -> None:
        site = next(self._venv.glob("lib/python3.*/site-packages"))
        (site / "_freehold.pth").write_text(os.path.relpath(library(self._home), site) + "\n")
        for name in ("freehold", "modal"):  # programs call the command line too
            command = self._venv / "bin" / name
            command.write_text(_COMMAND)
            command.chmod(0o755)

    async def _sync(self, command: Command, project: dict[str, Any]) -> None:
        folder = self._scratch / "project"
        folder.mkdir(exist_ok=True)
        (folder / "pyproject.toml").write_text(project["pyproject"])
        if project.get("lock"):
            (folder / "uv.lock").write_text(project["lock"])
        flags = [f"--group={g}" for g in project.get("groups") or ()] + [
            f"--extra={e}" for e in project.get("extras") or ()
        ]
        if project.get("lock") and project.get("frozen", True):
            flags.append("--frozen")
        flags += shlex.split(project.get("extra_options") or "")
        argv = [
            self._uv,
            "sync",
            "--no-install-project",
            "--inexact",
            "--no-progress",
            "--project",
            str(folder),
            *flags,
        ]
        await self._do(command.title, argv, env=command.env | {"UV_PROJECT_ENVIRONMENT": str(self._venv)})

    async def _poetry(self, command: Command, args: dict[str, Any]) -> None:
        folder = self._scratch / "project"
        folder.mkdir(exist_ok=True)
        (folder / "pyproject.toml").write_text(args["pyproject"])
        if args.get("lock"):
            (folder / "poetry.lock").write_text(args["lock"])
        wanted = args.get("poetry_version")
        named = "poetry" if wanted == "latest" else f"poetry=={wanted}"
        poetry = (
            [self._uv, "tool", "run", "--python", str(self._python), "--from", named, "poetry"]
            if wanted
            else ["poetry"]
        )
        groups = [f"--{name}={','.join(args[name])}" for name in ("with", "without", "only") if args.get(name)]
        own = {
            "POETRY_VIRTUALENVS_CREATE": "false",
            "POETRY_CACHE_DIR": str(self._scratch / "tmp/poetry"),
            "POETRY_NO_INTERACTION": "1",
        }
        if args.get("old_installer"):
            own["POETRY_EXPERIMENTAL_NEW_INSTALLER"] = "false"
        argv = [*poetry, "install", "--no-root", "--compile", *groups]
        await self._do(command.title, argv, env=command.env | own, cwd=folder)

    async def _call(self, command: Command, step: dict[str, Any]) -> None:
        mounts = cast("list[dict[str, str]]", step.get("mounts") or [])
        files = [(await self._attachments.files(m["digest"]), m["remote_path"]) for m in mounts]
        root = sandbox.CODE_ROOT if self._sees_own else str(self._fs / "root")
        names = ("module", "qualname", "serialized", "call")
        (self._tmp / "job").write_text(json.dumps({"root": root} | {n: step[n] for n in names if n in step}))
        argv = [str(self._venv / "bin/python"), "-P", "-B", "-m", "freehold.runner.build", f"{self._inner_tmp()}/job"]
        has_folder = self._system.has_folder if self._system else None
        laid = [self._lies_at(b.inside) for b in sandbox.merge(files, *((has_folder,) if has_folder else ()))]
        before = {path for path in laid if path.is_symlink() or path.exists()}
        try:
            await self._inside(command, argv, code=tuple(files))
        finally:
            for path in set(laid) - before:  # where the user's files were laid: the image has none of them
                _remove_empty(path)

    async def _inside(
        self,
        command: Command,
        argv: list[str],
        code: tuple[tuple[Path, str], ...] = (),
        files: tuple[tuple[Path, str], ...] = (),
    ) -> None:
        """Run a step under the image's own view: what it writes becomes part of the image. `files` can be read, and lie below /tmp."""
        volumes = [
            (
                await self._attachments.volume(
                    v["name"],
                    workspace=v.get("workspace", MAIN),
                    create=bool(v.get("create_if_missing") or v.get("ephemeral")),
                ),
                path,
                bool(v.get("read_only")),
            )
            for path, v in command.volumes.items()
        ]
        view = View(
            fixed=(self._python.parent.parent, library(self._home), package_dir(), Path(self._uv)),
            base=self._fs, tmp=self._tmp, code=code, shared=(self._venv,),
            volumes=(*volumes, *((folder, path, True) for folder, path in files)), system=self._system, root=True,
            workdir=sandbox.CODE_ROOT if self._system else command.workdir or sandbox.CODE_ROOT,
        )  # fmt: skip
        home, cwd = sandbox.CODE_ROOT, Path("/")
        if self._sees_own and self._runs.bwrap is not None:
            if self._system is not None:
                argv = ["/bin/sh", "-c", _ENTER, command.workdir or sandbox.CODE_ROOT, *argv]
            elif command.workdir:
                self._beneath(command.workdir).mkdir(parents=True, exist_ok=True)
            argv = [*sandbox.argv(self._runs.bwrap, view, level=self._runs.level), *argv]
        else:
            cwd, problems = sandbox.lay_links(view)
            home = str(cwd)
            if problems:
                raise ImageBuildError(
                    f"{self._at}{command.title}: without bubblewrap nothing can be laid at {', '.join(problems)}"
                )
        own = {
            "HOME": home,
            "TMPDIR": self._inner_tmp(),
            "UV_CACHE_DIR": f"{self._inner_tmp()}/uv",
            "PIP_NO_CACHE_DIR": "1",
            "DEBIAN_FRONTEND": "noninteractive",
        }
        await self._do(command.title, argv, env=own | command.env, cwd=cwd, timeout_s=command.timeout_s)

    def _beneath(self, path: str) -> Path:
        """Where a path of the image lies here; it may lead out of the image neither by itself nor by a link that a step made."""
        target = (self._fs / path.lstrip("/")).resolve()
        if not target.is_relative_to(self._fs.resolve()):
            raise ImageBuildError(f"{path!r} leads out of the image: name a path without '..' that no link is part of")
        return target

    def _lies_at(self, path: str) -> Path:
        """Where a mount of a step leaves its place."""
        return (self._system.upper(path) if self._system else None) or self._fs / path.lstrip("/")

    @property
    def _sees_own(self) -> bool:
        """Whether steps have a view of their own, in which the image lies at "/"."""
        return self._runs.level != "none" and self._runs.bwrap is not None

    def _inner_tmp(self) -> str:
        return "/tmp" if self._sees_own else str(self._tmp)  # noqa: S108 (the view's own)

    async def _on_host(self, title: str, argv: list[str], *, env: dict[str, str]) -> None:
        await self._do(title.removeprefix(self._at), argv, env=env)

    async def _do(
        self, title: str, argv: list[str], *, env: dict[str, str] | None = None, cwd: Path | None = None, timeout_s: float | None = None,
        without: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        around = over({k: v for k, v in self._env().items() if k not in without}, env or {})
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=around, cwd=cwd or self._scratch, start_new_session=True, limit=1 << 20,
        )  # fmt: skip
        last: list[str] = []
        try:
            async with asyncio.timeout(timeout_s):
                assert process.stdout is not None
                async for raw in _lines(process.stdout):
                    line = self._shown(raw)
                    self._log(line)
                    last = [*last[1 - _LAST_LINES :], line]
                code = await process.wait()
        except TimeoutError:
            raise ImageBuildError(f"{self._at}{title}: took longer than its timeout of {timeout_s:g} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, 9)
                await process.wait()
        if code != 0:
            tail = "\n".join(f"    {line}" for line in last)
            ended = f"was killed by signal {-code}" if code < 0 else f"failed with exit code {code}"
            if self._runs.flat and _READ_ONLY in tail:
                ended += f". Images cannot change the system here, so write below /root, /srv or a folder of your own: {self._runs.flat}"
            raise ImageBuildError(f"{self._at}{title}: {ended}\n{tail}".rstrip())

    def _shown(self, line: str) -> str:
        for value in self._hidden:
            line = line.replace(value, "***")
        return line

    def _env(self) -> dict[str, str]:
        env = {k: v for k, v in os.environ.items() if k.upper().startswith(_PASSED_ON) or k in _KEPT}
        for name in _UV_ONLY_OURS:
            env.pop(name, None)
        if "PIP_FIND_LINKS" in env:
            env.setdefault("UV_FIND_LINKS", ",".join(env["PIP_FIND_LINKS"].split()))
        if "PIP_INDEX_URL" in env:
            env.setdefault("UV_DEFAULT_INDEX", env["PIP_INDEX_URL"])
        if "PIP_EXTRA_INDEX_URL" in env:
            env.setdefault("UV_INDEX", env["PIP_EXTRA_INDEX_URL"])
        if env.get("PIP_CERT"):
            env.setdefault("SSL_CERT_FILE", env["PIP_CERT"])
        path = os.pathsep.join(
            [str(self._venv / "bin"), str(Path(self._uv).parent), os.environ.get("PATH", os.defpath)]
        )
        return env | {"PATH": path, "VIRTUAL_ENV": str(self._venv), "PYTHONUNBUFFERED": "1", "UV_NO_CONFIG": "1"}


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    while line := await stream.readline():
        yield line.decode(errors="replace").rstrip()


def find_uv() -> str | None:
    """The uv of the server's environment, else that of the machine."""
    beside = Path(sys.executable).parent / "uv"
    return str(beside) if beside.exists() else shutil.which("uv")


def _uv() -> str:
    found = find_uv()
    if found is None:
        raise ImageBuildError("images need uv: `pip install uv` into the server's environment")
    return found


def host_of_images() -> Host:
    """What this machine has beside its packages."""
    nvcc = shutil.which("nvcc") is not None or Path("/usr/local/cuda/bin/nvcc").exists()
    return Host(nvidia=Path("/proc/driver/nvidia/version").exists(), nvcc=nvcc)


def _size_bytes(*folders: Path) -> int:
    """What files hold, each once however many names it has."""
    found: dict[tuple[int, int], int] = {}
    for folder in folders:
        for base, _, files in os.walk(folder):
            for file in files:
                with contextlib.suppress(PermissionError):  # a step closed its folder
                    status = os.lstat(f"{base}/{file}")
                    found[status.st_dev, status.st_ino] = status.st_size
    return sum(found.values())


def _remove_empty(path: Path) -> None:
    """Take away a mount point: a link, an empty file or an empty folder."""
    with contextlib.suppress(OSError):
        if path.is_symlink() or (path.is_file() and path.stat().st_size == 0):
            path.unlink()
        elif path.is_dir():
            path.rmdir()
