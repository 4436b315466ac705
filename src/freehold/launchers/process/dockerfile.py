"""Instructions of Dockerfiles on this machine: those that need no container become commands, the rest name the container launcher."""

import os.path
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from freehold.core.dockerfile import Instruction, expand, parse
from freehold.core.errors import ImageBuildError
from freehold.launchers.process.apt import peel
from freehold.launchers.process.base import CONTAINER, stand_in
from freehold.launchers.process.commands import BASE_PATH, Apt, Command, Copy, Plan, Shell, Work, Write

_QUIET = ("LABEL", "EXPOSE", "MAINTAINER", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD")
_ROOT = ("root", "0", "root:root", "0:0")
Make = Callable[[str, Work], Command]


@dataclass(kw_only=True)
class Reading:
    """Where the reading of one Dockerfile stands."""

    plan: Plan
    method: str  # for messages
    build_args: Mapping[str, str]
    context: str | None
    make: Make
    whole: bool  # begins with FROM
    add_python: str | None = None
    begun: bool = False
    args: dict[str, str] = field(default_factory=dict[str, str])

    def scope(self) -> dict[str, str]:
        return {"PATH": BASE_PATH, **self.args, **self.plan.env}


def read_instructions(text: str, reading: Reading) -> None:
    for one in parse(text):
        _APPLY.get(one.op, _other)(one, reading)
    if reading.whole and not reading.begun:
        raise ImageBuildError(f"Image.{reading.method}: the Dockerfile has no FROM")


def shell_commands(command: str, plan: Plan) -> tuple[str, ...]:
    return (*plan.shell, command)


def shell_work(command: str, plan: Plan) -> Work:
    """A shell command, with the Debian packages that it begins with told apart: on this machine they may be there already."""
    packages, rest = peel(command)
    if not packages and rest == command:
        return Shell(shell_commands(command, plan))
    return Apt(
        packages=packages, written=shell_commands(command, plan), rest=shell_commands(rest, plan) if rest else ()
    )


def _from(one: Instruction, reading: Reading) -> None:
    if not reading.whole:
        raise _refused(one, reading, "only from_dockerfile begins with it")
    if reading.begun:
        raise _refused(one, reading, "a build in stages copies between file systems")
    tag = expand(one.value, reading.scope()).split()[0]
    base = stand_in(tag, reading.add_python, reading.plan.host, reading.method)
    reading.begun, reading.plan.python = True, base.python
    reading.plan.notes.append(base.note)


def _arg(one: Instruction, reading: Reading) -> None:
    for name, value in one.pairs().items():
        reading.args[name] = reading.build_args.get(name, expand(value, reading.scope()))


def _env(one: Instruction, reading: Reading) -> None:
    scope = reading.scope()
    reading.plan.env |= {k: expand(v, scope) for k, v in one.pairs().items()}


def _workdir(one: Instruction, reading: Reading) -> None:
    reading.plan.workdir = _absolute(expand(one.value.strip("\"'"), reading.scope()), reading)


def _shell(one: Instruction, reading: Reading) -> None:
    words = one.words()
    if not words:
        raise _refused(one, reading, 'write it as JSON, such as ["/bin/bash", "-c"]')
    reading.plan.shell = tuple(words)


def _run(one: Instruction, reading: Reading) -> None:
    for name, value in one.flags:
        if name not in ("mount", "network", "security") or (name == "mount" and "type=cache" not in value):
            raise _refused(one, reading, f"of its flag --{name}={value}")
    words = one.words()
    command = one.heredoc if one.heredoc is not None else one.value
    work = Shell(tuple(words)) if words else shell_work(command, reading.plan)
    made = reading.make(f"RUN {command.strip()}", work)
    reading.plan.commands.append(replace(made, env={**reading.args, **made.env}))


def _copy(one: Instruction, reading: Reading) -> None:
    flags = dict(one.flags)
    if "from" in flags:
        raise _refused(one, reading, "it copies out of another image")
    scope = reading.scope()
    if one.heredoc is not None:
        target = expand(one.value.split()[-1], scope)
        reading.plan.commands.append(
            reading.make(f"{one.op} {target}", Write(remote=_absolute(target, reading), text=one.heredoc))
        )
        return
    sources, target = one.sources()
    sources = [expand(s, scope) for s in sources]
    if any("://" in s for s in sources) or (
        one.op == "ADD" and any(s.endswith((".tar", ".gz", ".tgz", ".xz", ".bz2")) for s in sources)
    ):
        raise _refused(one, reading, "it downloads or unpacks; use RUN with curl or tar")
    if reading.context is None:
        raise ImageBuildError(
            f"Image.{reading.method}: {one.op} {one.value}: no local files came with the recipe; deploy again"
        )
    remote = _absolute(expand(target, scope), reading) + ("/" if target.endswith("/") or target == "." else "")
    work = Copy(digest=reading.context, remote=remote, sources=tuple(sources))
    reading.plan.commands.append(reading.make(f"{one.op} {one.value}", work))


def _user(one: Instruction, reading: Reading) -> None:
    if one.value.strip() not in _ROOT:
        reading.plan.notes.append(f"USER {one.value}: steps and instances run as who runs the server")


def _volume(one: Instruction, reading: Reading) -> None:
    for path in one.words() or one.value.split():
        command = shell_commands(f"mkdir -p '{expand(path, reading.scope())}'", reading.plan)
        reading.plan.commands.append(reading.make(f"VOLUME {path}", Shell(command)))


def _other(one: Instruction, reading: Reading) -> None:
    if one.op not in _QUIET:  # those shape a container's own process or its description
        raise _refused(one, reading, "")


_APPLY: dict[str, Callable[[Instruction, Reading], None]] = {
    "FROM": _from, "ARG": _arg, "ENV": _env, "WORKDIR": _workdir, "SHELL": _shell, "RUN": _run, "COPY": _copy, "ADD": _copy,
    "USER": _user, "VOLUME": _volume,
}  # fmt: skip


def _absolute(path: str, reading: Reading) -> str:
    return os.path.normpath(os.path.join(reading.plan.workdir or "/", path))  # noqa: PTH118 (a path of the image)


def _refused(one: Instruction, reading: Reading, why: str) -> ImageBuildError:
    because = f" ({why})" if why else ""
    return ImageBuildError(f"Image.{reading.method}: {one.op} {one.value!r} (line {one.line}){because}: {CONTAINER}")
