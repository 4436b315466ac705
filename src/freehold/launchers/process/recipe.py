"""An image's recipe as the commands that make it: pure, so that it can be read and tested without running one."""

import re
import shlex
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePosixPath
from typing import Any, cast

from freehold.core.errors import ImageBuildError, InvalidError
from freehold.core.specs import ImageSpec, ImageStep
from freehold.launchers.process.base import CONTAINER, stand_in
from freehold.launchers.process.commands import (
    BASE_PATH,
    Apt,
    Call,
    Command,
    Copy,
    Host,
    Pip,
    Plan,
    Poetry,
    Sync,
    Work,
)
from freehold.launchers.process.dockerfile import Reading, read_instructions, shell_work

# what the runner imports inside an image, or runs there; then what programs for Modal find in every image of its, and use without naming it
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
    "aiohttp",
    "certifi",
    "setuptools<81",  # later ones have no pkg_resources
    "wheel",
)
_INDEXES = (("index_url", "--index-url"), ("find_links", "--find-links"), ("extra_index_url", "--extra-index-url"))
_TITLE_MAX = 200
_VARIABLE = re.compile(r"\$([A-Za-z_]\w*)")
_REFERENCE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")


def runner_requirements() -> tuple[str, ...]:
    """What every image begins with: the packages that this process has too pinned to its versions, the others as they are named."""
    pinned: list[str] = []
    for name in RUNNER_NEEDS:
        try:
            pinned.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            pinned.append(name)
    return tuple(pinned)


def read(spec: ImageSpec, host: Host | None = None) -> Plan:
    """Turn the steps into commands; ImageBuildError for a step that only a container can give."""
    plan = Plan(host=host or Host())
    for number, step in enumerate(spec.steps, 1):
        try:
            _STEPS[step.kind](step, plan)
        except (ImageBuildError, InvalidError) as error:
            raise ImageBuildError(f"step {number} of {len(spec.steps)} of the recipe: {error}") from None
    return plan


# ---- where it begins


def _debian_slim(step: ImageStep, plan: Plan) -> None:
    plan.python = step.args.get("python_version")


def _micromamba(step: ImageStep, plan: Plan) -> None:
    plan.python = step.args.get("python_version")
    plan.notes.append("Image.micromamba: a virtualenv of this machine's Python stands in for micromamba's")


def _from_registry(step: ImageStep, plan: Plan) -> None:
    if step.args.get("registry") or step.args.get("registry_secrets"):
        raise ImageBuildError(
            f"Image.from_registry({step.args['tag']!r}) is an image of a private registry: {CONTAINER}"
        )
    base = stand_in(step.args["tag"], step.args.get("add_python"), plan.host)
    plan.python = base.python
    plan.notes.append(base.note)
    if step.args.get("setup_dockerfile_commands"):
        _instructions("\n".join(step.args["setup_dockerfile_commands"]), step, plan, whole=False)


def _from_dockerfile(step: ImageStep, plan: Plan) -> None:
    _instructions(step.args["dockerfile"], step, plan, whole=True)


def _impossible(step: ImageStep, plan: Plan) -> None:
    del plan
    shown = ", ".join(map(repr, step.args.get("packages", [])))
    raise ImageBuildError(f"Image.{step.kind}({shown}) cannot be given by the process launcher: {CONTAINER}")


def _snapshot(step: ImageStep, plan: Plan) -> None:
    del plan
    raise ImageBuildError(
        f"snapshot {step.args.get('layer', '')[:12]!r} is not on this machine, or steps stand after it: make it anew, and take such steps "
        "in the sandbox, before the snapshot"
    )


def _unresolved(step: ImageStep, plan: Plan) -> None:
    del plan
    raise ImageBuildError(
        f"Image.{step.kind}({next(iter(step.args.values()), '')!r}): there is no such image on this server"
    )


# ---- what is done


def _pip(step: ImageStep, plan: Plan) -> None:
    args = step.args
    packages = [str(p) for p in cast("list[Any]", args.get("packages") or [])]
    lines = [str(line) for line in cast("list[Any]", args.get("requirements") or [])]
    flags = [(flag, str(args[key])) for key, flag in _INDEXES if args.get(key)]
    words = ["--prerelease=allow"] if args.get("pre") else []
    words += shlex.split(args.get("extra_options") or "")
    title = f"{step.kind} {' '.join([*packages, *lines])}"
    if not any("$" in text for text in (*packages, *(value for _, value in flags))):
        arguments = (*(word for pair in flags for word in pair), *words, *packages)
        _add(step, plan, title, Pip(arguments=arguments, requirements=tuple(lines)))
        return
    # variables are filled in by uv, and only in a file: on a command line everybody on this machine could read them
    listed = [f"{flag} {value}" for flag, value in flags] + packages
    filled = tuple(_VARIABLE.sub(r"${\1}", text) for text in listed)
    _add(step, plan, title, Pip(arguments=tuple(words), requirements=(*filled, *lines)))


def _uv_sync(step: ImageStep, plan: Plan) -> None:
    _add(step, plan, "uv_sync", Sync(step.args))


def _poetry(step: ImageStep, plan: Plan) -> None:
    _add(step, plan, "poetry_install_from_file", Poetry(step.args))


def _apt(step: ImageStep, plan: Plan) -> None:
    packages = tuple(p for arg in step.args.get("packages", []) for p in shlex.split(arg))
    _add(step, plan, f"apt_install {' '.join(packages)}", Apt(packages=packages))


def _run_commands(step: ImageStep, plan: Plan) -> None:
    for command in step.args.get("commands", []):
        _add(step, plan, f"run_commands {command!r}", shell_work(command, plan))


def _run_function(step: ImageStep, plan: Plan) -> None:
    name = step.args.get("qualname") or "function"
    _add(step, plan, f"run_function {name!r}", Call({**step.args, **step.beside}))


def _dockerfile_commands(step: ImageStep, plan: Plan) -> None:
    _instructions("\n".join(step.args.get("commands", [])), step, plan, whole=False)


# ---- what is set


def _env(step: ImageStep, plan: Plan) -> None:
    known = {"PATH": BASE_PATH, **plan.env}
    for name, value in cast("dict[str, Any]", step.args.get("vars") or {}).items():
        plan.env[str(name)] = _REFERENCE.sub(lambda found: known.get(found[1] or found[2], found[0]), str(value))


def _workdir(step: ImageStep, plan: Plan) -> None:
    plan.workdir = str(PurePosixPath(plan.workdir or "/root", step.args["path"]))


def _add_local(step: ImageStep, plan: Plan) -> None:
    digest, remote = step.args["digest"], step.args["remote_path"]
    _add(step, plan, f"copy local files to {remote}", Copy(digest=digest, remote=remote))


def _shell(step: ImageStep, plan: Plan) -> None:
    plan.shell = tuple(step.args.get("commands") or ("/bin/sh", "-c"))


def _quiet(step: ImageStep, plan: Plan) -> None:
    """It shapes a container's own process, which there is none of."""
    if step.kind == "entrypoint" and step.args.get("commands"):
        plan.notes.append(f"Image.entrypoint({step.args['commands']!r}) is not run: instances here are no containers")


_STEPS: dict[str, Callable[[ImageStep, Plan], None]] = {
    "debian_slim": _debian_slim, "micromamba": _micromamba, "from_registry": _from_registry, "from_dockerfile": _from_dockerfile,
    "snapshot": _snapshot, "from_scratch": _impossible, "micromamba_install": _impossible, "from_id": _unresolved, "from_name": _unresolved,
    "pip_install": _pip, "uv_pip_install": _pip, "uv_sync": _uv_sync, "poetry_install": _poetry, "apt_install": _apt,
    "run_commands": _run_commands, "run_function": _run_function, "dockerfile_commands": _dockerfile_commands,
    "env": _env, "workdir": _workdir, "add_local": _add_local, "shell": _shell, "entrypoint": _quiet, "cmd": _quiet,
}  # fmt: skip


def _instructions(text: str, step: ImageStep, plan: Plan, *, whole: bool) -> None:
    reading = Reading(
        plan=plan, method=step.kind, build_args=step.args.get("build_args") or {}, context=step.args.get("context"),
        make=lambda title, work: _command(step, plan, title, work), whole=whole, add_python=step.args.get("add_python"),
    )  # fmt: skip
    read_instructions(text, reading)


def _add(step: ImageStep, plan: Plan, title: str, work: Work) -> None:
    plan.commands.append(_command(step, plan, title, work))


def _command(step: ImageStep, plan: Plan, title: str, work: Work) -> Command:
    args = step.args
    short = " ".join(title.split())
    return Command(
        title=short if len(short) <= _TITLE_MAX else f"{short[:_TITLE_MAX]}…",
        work=work,
        env={**plan.env, **(args.get("env") or {})},
        workdir=plan.workdir,
        secrets=tuple(args.get("secrets") or ()),
        volumes=dict(args.get("volumes") or {}),
        timeout_s=step.beside.get("timeout_s"),
    )
