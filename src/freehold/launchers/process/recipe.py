"""An image's recipe as the commands that make it: pure, so that it can be read and tested without running one."""

import shlex
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

from freehold.core.errors import ImageBuildError
from freehold.core.specs import ImageSpec, ImageStep

# what the runner imports inside an image, or runs there
RUNNER_NEEDS = (
    "msgspec",
    "cloudpickle",
    "uvloop",
    "fastapi",
    "uvicorn",
    "httptools",
    "websockets",
    "python-multipart",
    "anyio",
    "typer",
)
_CONTAINER = "the process launcher uses this machine's own system; the container launcher can build it"
_QUIET = ("entrypoint", "cmd", "shell")


@dataclass(frozen=True, kw_only=True)
class Command:
    """One thing to run in the image's environment."""

    title: str
    argv: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()  # arguments of `uv pip install`, instead of argv
    requirements: tuple[str, ...] = ()
    apt: tuple[str, ...] = ()  # packages that must be on the host
    function: dict[str, Any] | None = None  # args of run_function
    project: dict[str, Any] | None = None  # args of uv_sync
    env: dict[str, str] = field(default_factory=dict[str, str])
    workdir: str | None = None
    copied: tuple[str, str] | None = None  # digest and remote_path of local files


@dataclass(frozen=True, kw_only=True)
class Recipe:
    python: str | None
    commands: tuple[Command, ...]
    env: dict[str, str]
    workdir: str | None


def runner_requirements() -> tuple[str, ...]:
    """The runner's packages, pinned to the versions that this process runs."""
    pinned: list[str] = []
    for name in RUNNER_NEEDS:
        try:
            pinned.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            pinned.append(name)
    return tuple(pinned)


def read(spec: ImageSpec) -> Recipe:
    """Turn the steps into commands; ImageBuildError for a step that only a container can give."""
    python: str | None = None
    env: dict[str, str] = {}
    workdir: str | None = None
    commands: list[Command] = []
    for step in spec.steps:
        match step.kind:
            case "debian_slim":
                python = step.args.get("python_version")
            case "env":
                env |= {str(k): str(v) for k, v in cast("dict[str, Any]", step.args.get("vars") or {}).items()}
            case "workdir":
                workdir = step.args["path"]
            case "add_local":
                digest, remote = step.args["digest"], step.args["remote_path"]
                commands.append(Command(title=f"copy local files to {remote}", copied=(digest, remote)))
            case kind if kind in _QUIET:
                continue  # they shape a container's own process, which there is none of
            case _:
                made = [replace(c, env=dict(env), workdir=workdir) for c in _commands(step)]
                commands += made
    return Recipe(python=python, commands=tuple(commands), env=env, workdir=workdir)


def _commands(step: ImageStep) -> list[Command]:
    args = step.args
    match step.kind:
        case "pip_install" | "uv_pip_install":
            return [_pip(step)]
        case "run_commands":
            return [Command(title=f"run_commands {c!r}", argv=("/bin/sh", "-ec", c)) for c in args.get("commands", [])]
        case "run_function":
            name = args.get("qualname") or args.get("name") or "function"
            return [Command(title=f"run_function {name!r}", function=dict(args))]
        case "apt_install":
            packages = tuple(p for arg in args.get("packages", []) for p in shlex.split(arg))
            return [Command(title=f"apt_install {' '.join(packages)}", apt=packages)]
        case "uv_sync":
            return [Command(title="uv_sync", project=dict(args))]
        case "from_registry" | "from_dockerfile" | "micromamba" | "dockerfile_commands" | _:
            shown = repr(args["tag"]) if "tag" in args else "…"
            msg = f"Image.{step.kind}({shown}) cannot be given by the process launcher: {_CONTAINER}"
            raise ImageBuildError(msg)


def _pip(step: ImageStep) -> Command:
    args = step.args
    packages = [str(p) for p in cast("list[Any]", args.get("packages") or [])]
    flags: list[str] = []
    for key, flag in (("index_url", "--index-url"), ("find_links", "--find-links")):
        if args.get(key):
            flags += [flag, str(args[key])]
    extra: str | list[str] = args.get("extra_index_url") or []
    for url in [extra] if isinstance(extra, str) else extra:
        flags += ["--extra-index-url", str(url)]
    if args.get("pre"):
        flags.append("--prerelease=allow")
    flags += shlex.split(args.get("extra_options") or "")
    lines = tuple(str(line) for line in cast("list[Any]", args.get("requirements") or []))
    shown = " ".join([*packages, *lines])
    return Command(title=f"{step.kind} {shown}", pip=(*flags, *packages), requirements=lines)
