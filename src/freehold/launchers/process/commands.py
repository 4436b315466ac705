"""What a build does, command by command: plain values between the recipe that plans them and the build that runs them."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Shell:
    """A program and its arguments, under the image's own view."""

    argv: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Pip:
    """Arguments of `uv pip install`, and lines of a requirements file, which uv fills variables into."""

    arguments: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Apt:
    """Debian packages. Those that a shell command begins with installing come with it as it is `written`, and with the `rest` of it."""

    packages: tuple[str, ...]
    written: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()


@dataclass(frozen=True)
class Call:
    """`run_function`."""

    step: dict[str, Any]  # its args, and what stands beside them


@dataclass(frozen=True)
class Sync:
    """`uv_sync`."""

    args: dict[str, Any]


@dataclass(frozen=True)
class Poetry:
    args: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Copy:
    """Local files of a digest. Without `sources` all of them go into the folder `remote`; else as COPY places them."""

    digest: str
    remote: str
    sources: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Write:
    """A file with this text: a heredoc of COPY."""

    remote: str
    text: str


Work = Shell | Pip | Apt | Call | Sync | Poetry | Copy | Write


@dataclass(frozen=True, kw_only=True)
class Command:
    """One thing to do, and what is there while it is done."""

    title: str
    work: Work
    env: dict[str, str] = field(default_factory=dict[str, str])
    workdir: str | None = None
    secrets: tuple[dict[str, Any], ...] = ()
    volumes: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    timeout_s: float | None = None


BASE_PATH = "${PATH}"  # in a recipe's PATH: the one of whatever runs it


def over(base: dict[str, str], env: dict[str, str]) -> dict[str, str]:
    """An image's variables over those that it is run with; its PATH may go on with theirs."""
    path = env.get("PATH")
    return base | env | ({} if path is None else {"PATH": path.replace(BASE_PATH, base.get("PATH", ""))})


@dataclass(frozen=True, kw_only=True)
class Host:
    """What of this machine decides whether a recipe can be given here."""

    nvidia: bool = False  # a driver
    nvcc: bool = False


@dataclass(kw_only=True)
class Plan:
    """A recipe as it is read, step by step."""

    host: Host = field(default_factory=Host)
    python: str | None = None
    env: dict[str, str] = field(default_factory=dict[str, str])
    workdir: str | None = None
    shell: tuple[str, ...] = ("/bin/sh", "-ec")
    commands: list[Command] = field(default_factory=list[Command])
    notes: list[str] = field(default_factory=list[str])  # where this machine gives something else than was asked for
