"""Builds images: one uv venv a digest, once however many ask, whole or not at all."""

import asyncio
import base64
import contextlib
import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

from freehold.core.digests import image_digest
from freehold.core.errors import ImageBuildError
from freehold.core.home import Home
from freehold.core.specs import ImageSpec
from freehold.launchers.contract import Attachments
from freehold.launchers.process import interpreters, sandbox
from freehold.launchers.process.recipe import Command, Recipe, read, runner_requirements
from freehold.launchers.process.sandbox import Level, View

Log = Callable[[str], None]
LAYOUT = 6  # of an image's folder; another number builds anew
_LAST_LINES = 15
_COMMAND = '#!/bin/sh\nexec "$(dirname "$(readlink -f "$0")")/python" -m freehold.cli.main "$@"\n'
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
    """How the commands of a build see the machine."""

    bwrap: str | None
    level: Level


class Images:
    """The images of one home."""

    def __init__(self, home: Home, runs: Runs, attachments: Callable[[], Attachments]) -> None:
        self._home, self._runs, self._attachments = home, runs, attachments
        self._building: dict[str, asyncio.Task[Path]] = {}
        self._logs: dict[str, list[Log]] = {}

    async def ensure(self, spec: ImageSpec, log: Log) -> Path:
        """Return the image's folder; build it first when it is not there."""
        digest = image_digest(spec)
        folder = self._home.images / digest
        if _ready(folder):
            return folder
        self._logs.setdefault(digest, []).append(log)
        task = self._building.get(digest)
        if task is None:
            task = self._building[digest] = asyncio.create_task(self._build(spec, digest, folder))
            task.add_done_callback(lambda _: self._built(digest))
        return await asyncio.shield(task)

    def _built(self, digest: str) -> None:
        self._building.pop(digest, None)
        self._logs.pop(digest, None)

    async def _build(self, spec: ImageSpec, digest: str, folder: Path) -> Path:
        self._home.images.mkdir(parents=True, exist_ok=True)
        recipe = read(spec)
        scratch = Path(tempfile.mkdtemp(dir=self._home.images, prefix=f".build-{digest[:12]}-"))
        try:
            with (scratch / "build.log").open("a", encoding="utf-8") as file:
                await Build(self._home, scratch, self._log_to(digest, file), self._runs, self._attachments()).run(
                    recipe
                )
            _publish(scratch, folder)
        except BaseException:
            _keep_log(scratch, self._home.images / f"{digest}.failed.log")
            raise
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
        return folder

    def _log_to(self, digest: str, file: TextIO) -> Log:
        def write(line: str) -> None:
            print(line, file=file, flush=True)
            for log in self._logs.get(digest, []):
                log(line)

        return write

    async def close(self) -> None:
        """Give up what is being built."""
        tasks = list(self._building.values())
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task


class Build:
    """One build, in `scratch`: a relocatable venv, and `fs` with what steps write below "/"."""

    def __init__(self, home: Home, scratch: Path, log: Log, runs: Runs, attachments: Attachments) -> None:
        self._home, self._scratch, self._log, self._runs, self._attachments = home, scratch, log, runs, attachments
        self._venv, self._fs, self._tmp = scratch / "venv", scratch / "fs", scratch / "tmp"
        self._uv = _uv()
        (self._fs / "root").mkdir(parents=True)
        self._tmp.mkdir()

    async def run(self, recipe: Recipe) -> None:
        begun = time.monotonic()
        there = await asyncio.to_thread(interpreters.find)
        python, warning = interpreters.choose(recipe.python, there)
        if warning:
            self._log(f"warning: {warning}")
        self._python = python.path
        self._log(f"==> venv with {python.path}")
        await self._do(
            "create the venv",
            [
                self._uv,
                "venv",
                "--relocatable",
                "--seed",
                "--no-project",
                "--python",
                str(python.path),
                str(self._venv),
            ],
        )
        await self._install("install the runner's packages", runner_requirements())
        self._put_library()
        for number, command in enumerate(recipe.commands, 1):
            self._log(f"==> step {number} of {len(recipe.commands)}: {command.title}")
            await self._step(command)
        made = {
            "layout": LAYOUT,
            "python": f"3.{python.minor}",
            "env": recipe.env,
            "workdir": recipe.workdir,
        }
        (self._scratch / "image.json").write_text(json.dumps(made, indent=1))
        self._log(f"==> built in {time.monotonic() - begun:.1f} s")

    async def _step(self, command: Command) -> None:
        if command.copied:
            await self._copy(*command.copied)
        elif command.apt:
            await self._check_apt(command)
        elif command.function is not None:
            await self._run_function(command, command.function)
        elif command.project is not None:
            await self._sync(command, command.project)
        elif command.argv:
            await self._inside(command, list(command.argv))
        else:
            await self._pip(command)

    async def _copy(self, digest: str, remote: str) -> None:
        source = await self._attachments.files(digest)
        target = self._beneath(remote)
        await asyncio.to_thread(shutil.copytree, source, target, dirs_exist_ok=True, symlinks=True)

    async def _pip(self, command: Command) -> None:
        arguments = list(command.pip)
        if command.requirements:
            listed = self._scratch / "requirements.txt"
            listed.write_text("\n".join(command.requirements) + "\n")
            arguments += ["--requirements", str(listed)]
        await self._install(command.title, tuple(arguments), env=command.env)

    async def _install(self, title: str, arguments: tuple[str, ...], env: dict[str, str] | None = None) -> None:
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
        await self._do(title, argv, env=env)

    def _put_library(self) -> None:
        site = next(self._venv.glob("lib/python3.*/site-packages"))
        (site / "_freehold.pth").write_text(os.path.relpath(library(self._home), site) + "\n")
        for name in ("freehold", "modal"):  # programs call the command line too
            command = self._venv / "bin" / name
            command.write_text(_COMMAND)
            command.chmod(0o755)

    async def _check_apt(self, command: Command) -> None:
        query = shutil.which("dpkg-query")
        names = [p.split("=")[0] for p in command.apt]
        missing = names if query is None else [p for p in names if not await asyncio.to_thread(_installed, query, p)]
        if missing:
            msg = (
                f"apt_install: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not on this machine, and the process launcher "
                f"installs no system packages. Run `sudo apt-get install {' '.join(missing)}`, or use the container launcher"
            )
            raise ImageBuildError(msg)
        self._log(f"already on this machine: {' '.join(names)}")

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

    async def _run_function(self, command: Command, arguments: dict[str, Any]) -> None:
        (self._tmp / "job").write_bytes(base64.b64decode(arguments["serialized"]))
        env: dict[str, str] = {}
        for secret in cast("list[dict[str, Any]]", arguments.get("secrets") or []):
            env |= await self._attachments.secret(secret.get("sealed") or secret["name"])
        volumes = [
            (
                await self._attachments.volume(v["name"], create=bool(v.get("create_if_missing"))),
                path,
                bool(v.get("read_only")),
            )
            for path, v in cast("dict[str, dict[str, Any]]", arguments.get("volumes") or {}).items()
        ]
        argv = [str(self._venv / "bin/python"), "-P", "-m", "freehold.runner.build", f"{self._inner_tmp()}/job"]
        await self._inside(command, argv, env=env, volumes=tuple(volumes), timeout_s=arguments.get("timeout_s"))

    async def _inside(
        self, command: Command, argv: list[str], *, env: dict[str, str] | None = None,
        volumes: tuple[tuple[Path, str, bool], ...] = (), timeout_s: float | None = None,
    ) -> None:  # fmt: skip
        """Run a step under the image's own view: what it writes below "/" becomes part of the image."""
        view = View(
            fixed=(self._python.parent.parent, library(self._home), package_dir(), Path(self._uv)),
            base=self._fs, tmp=self._tmp, code=(), volumes=volumes, shared=(self._venv,),
            workdir=command.workdir or sandbox.CODE_ROOT,
        )  # fmt: skip
        home, cwd = sandbox.CODE_ROOT, Path("/")
        if self._runs.level != "none" and self._runs.bwrap is not None:
            if command.workdir:
                self._beneath(command.workdir).mkdir(parents=True, exist_ok=True)
            argv = [*sandbox.argv(self._runs.bwrap, view, level=self._runs.level), *argv]
        else:
            cwd, problems = sandbox.lay_links(view)
            home = str(cwd)
            if problems:
                raise ImageBuildError(
                    f"step {command.title!r}: without bubblewrap nothing can be laid at {', '.join(problems)}"
                )
        own = {
            "HOME": home,
            "TMPDIR": self._inner_tmp(),
            "UV_CACHE_DIR": f"{self._inner_tmp()}/uv",
            "PIP_NO_CACHE_DIR": "1",
        }
        await self._do(command.title, argv, env=own | command.env | (env or {}), cwd=cwd, timeout_s=timeout_s)

    def _beneath(self, path: str) -> Path:
        """Where a path of the image lies here; it may lead out of the image neither by itself nor by a link that a step made."""
        target = (self._fs / path.lstrip("/")).resolve()
        if not target.is_relative_to(self._fs.resolve()):
            raise ImageBuildError(f"{path!r} leads out of the image: name a path without '..' that no link is part of")
        return target

    def _inner_tmp(self) -> str:
        return "/tmp" if self._runs.level != "none" and self._runs.bwrap is not None else str(self._tmp)  # noqa: S108 (the view's own)

    async def _do(
        self, title: str, argv: list[str], *, env: dict[str, str] | None = None, cwd: Path | None = None, timeout_s: float | None = None
    ) -> None:  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=self._env() | (env or {}), cwd=cwd or self._scratch, start_new_session=True, limit=1 << 20,
        )  # fmt: skip
        last: list[str] = []
        try:
            async with asyncio.timeout(timeout_s):
                assert process.stdout is not None
                async for line in _lines(process.stdout):
                    self._log(line)
                    last = [*last[1 - _LAST_LINES :], line]
                code = await process.wait()
        except TimeoutError:
            raise ImageBuildError(f"step {title!r} took longer than its timeout of {timeout_s:g} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, 9)
                await process.wait()
        if code != 0:
            tail = "\n".join(f"    {line}" for line in last)
            raise ImageBuildError(f"step {title!r} failed with exit code {code}:\n{tail}")

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


def _uv() -> str:
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise ImageBuildError("images need uv: `pip install uv` into the server's environment")
    return found


def _installed(query: str, package: str) -> bool:
    shown = subprocess.run([query, "-W", "-f", "${Status}", package], check=False, capture_output=True, text=True)
    return shown.returncode == 0 and "install ok installed" in shown.stdout


def _ready(folder: Path) -> bool:
    try:
        return (
            json.loads((folder / "image.json").read_text()).get("layout") == LAYOUT
            and (folder / "venv/bin/python").exists()
        )
    except (OSError, ValueError):
        return False


def _publish(scratch: Path, folder: Path) -> None:
    if _ready(folder):  # another server that shares these images was quicker, and its instances run in it
        return
    (scratch / "requirements.txt").unlink(missing_ok=True)
    for name in ("project", "tmp"):
        shutil.rmtree(scratch / name, ignore_errors=True)
    scratch.chmod(0o755)
    if folder.exists():  # of an older layout, or broken
        old = folder.with_name(f".old-{secrets.token_hex(4)}")
        folder.rename(old)
        shutil.rmtree(old, ignore_errors=True)
    scratch.rename(folder)


def _keep_log(scratch: Path, target: Path) -> None:
    with contextlib.suppress(OSError):
        shutil.copyfile(scratch / "build.log", target)
