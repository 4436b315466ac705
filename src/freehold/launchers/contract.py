"""What every launcher does: give environments, start instances, stop them whole, and tell when one dies."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from freehold.core.specs import FunctionSpec, ImageSpec

# host: the machine's, shared by all who have it; own: a loopback of its own, and a way outside; none: a loopback of its own alone
Network = Literal["host", "own", "none"]


@dataclass(frozen=True, kw_only=True)
class StartRequest:
    """Everything an instance is started from. Paths are the host's."""

    instance: str
    token: str
    pool: str  # pool key: warm parents are kept by it
    app_id: str
    app: str
    function_id: str
    spec: FunctionSpec
    parameters: bytes  # msgpack [[name, value]...] of a Cls; b"" when there are none
    image: Path  # as ensure_image gave it: the folder with venv/ and image.json
    mounts: tuple[tuple[Path, str], ...]  # unpacked folder, remote_path
    volumes: tuple[tuple[Path, str, bool], ...]  # host path, path inside, read_only
    env: dict[str, str]  # of the function and its secrets, and FREEHOLD_*; complete
    output: Path  # raw file of the instance's output
    lease_s: float
    link: Path  # Unix socket of the link
    api: Path  # Unix socket of the control API
    arena: Path
    devices: tuple[str, ...] = ()
    cpu: float = 0.125
    cpu_limit: float | None = None
    memory_limit_mib: int | None = None


@dataclass(frozen=True, kw_only=True)
class Started:
    """An instance that runs; it dials the link on its own."""

    pid: int  # on the host
    phases: dict[str, float] = field(default_factory=dict[str, float])  # seconds: parent, import, fork
    porter: Path | None = None  # Unix socket that gives connections into its network, where that is not the machine's


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How an instance ended. `code` or `signal` is set when it is known."""

    instance: str
    code: int | None = None
    signal: int | None = None
    reason: str = ""  # "oom", "its warm parent died", ...


@dataclass(frozen=True, kw_only=True)
class SandboxRequest:
    """Everything a sandbox for untrusted code is started from. Paths are the host's."""

    sandbox: str
    image: Path
    files: tuple[tuple[Path, str], ...] = ()  # unpacked folder, remote_path: copied, so that they may be changed
    volumes: tuple[tuple[Path, str, bool], ...] = ()  # host path, path inside, read_only
    network: Network = (
        "host"  # own: with a way out, and without the machine's loopback; none: a loopback of its own alone
    )
    sockets: Path | None = None  # folder with the server's proxy for it
    devices: bool = False
    workdir: str | None = None
    cpu_limit: float | None = None
    memory_limit_mib: int | None = None
    processes: int = 1024  # at most so many, threads included


@dataclass(frozen=True, kw_only=True)
class SandboxCommand:
    """What to run in a sandbox or an instance: a program, or one of a sandbox's own tools for files."""

    argv: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict[str, str])  # complete
    workdir: str = "/root"
    make_workdir: bool = False
    terminal: tuple[int, int] | None = None  # rows, columns
    tool: str = ""
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])


class CommandPlace(Protocol):
    """Where commands can be run: a sandbox, or an instance that is entered."""

    gone: asyncio.Event  # no process of it is left; of an instance, none of its commands
    fault: str  # why it was ended, when it broke the rules itself

    async def run(self, command: SandboxCommand, fds: Sequence[int]) -> "tuple[int, asyncio.Future[int]]":
        """Run a command over these ends of pipes (stdin, stdout, stderr); its number, and its exit code to come. ConflictError when it has ended."""
        ...

    async def signal(self, number: int, signum: int) -> None: ...
    async def resize(self, number: int, rows: int, columns: int) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Entered:
    """An instance that commands can be run in, and what they start from."""

    place: CommandPlace
    env: dict[str, str]
    workdir: str


class Sandbox(CommandPlace, Protocol):
    """A running sandbox."""

    async def dial(self, port: int, fd: int) -> None:
        """Join a descriptor with a port on the sandbox's own loopback."""
        ...

    async def kill(self) -> None:
        """Kill every process in it; returns when they are gone."""
        ...


class Attachments(Protocol):
    """What an image's steps are given by the server: they name it, and hold none of it."""

    async def files(self, digest: str) -> Path:
        """The unpacked folder of a tar of local files."""
        ...

    async def secret(self, name: str, *, workspace: str) -> dict[str, str]: ...

    async def volume(self, name: str, *, workspace: str, create: bool) -> Path: ...


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """What a launcher knows of an image that it has."""

    size_bytes: int | None
    used: float  # when something was last started from it


class Launcher(Protocol):
    """One way to run instances. All methods are called on one event loop."""

    exited: Callable[[Exit], None]  # set by the owner; called on the loop within milliseconds of a death
    attachments: Attachments  # set by the owner, before the first image

    async def ensure_image(self, spec: ImageSpec, log: Callable[[str], None]) -> Path:
        """Return the image's folder, built if need be, once however many ask. ImageBuildError names the failed step."""
        ...

    async def image_facts(self, digest: str) -> ImageFacts | None:
        """None: there is no such image here."""
        ...

    async def image_log(self, digest: str) -> list[str]:
        """Lines of the image's last build, a failed one too; none when it was never built here."""
        ...

    async def delete_image(self, digest: str) -> None:
        """Delete the image and its log. The caller sees to it that nothing runs from it."""
        ...

    def network(self, spec: FunctionSpec) -> Network:
        """Which network the instances of a function have here."""
        ...

    async def start(self, request: StartRequest) -> Started:
        """Start an instance. StartError when the user's module could not be loaded, with its traceback."""
        ...

    async def stop(self, instance: str, *, grace_s: float) -> None:
        """SIGTERM, then kill after the grace; returns when the whole process tree is gone."""
        ...

    async def kill(self, instance: str) -> None:
        """Kill the whole process tree; returns when it is gone."""
        ...

    async def enter(self, instance: str) -> Entered:
        """Let commands run beside what the instance runs, and end with it. ConflictError when it has ended."""
        ...

    async def retire(self, pool: str) -> None:
        """End what is kept warm for a pool; its instances live on."""
        ...

    def guards(self) -> dict[str, str]:
        """Each protection by name: "ok", or what is missing and its fix."""
        ...

    async def close(self) -> None:
        """Everything that was started is gone when this returns."""
        ...


class SandboxLauncher(Protocol):
    """One way to hold untrusted code. All methods are called on one event loop."""

    def lacks_network(self) -> str:
        """Why no sandbox can have a network of its own with a way out, with the fix; empty when it can."""
        ...

    async def open_sandbox(self, request: SandboxRequest) -> Sandbox:
        """Start a sandbox, with nothing but its first process in it. UnimplementedError where untrusted code cannot be held, with the fix."""
        ...

    async def sandbox_env(self, image: Path) -> tuple[dict[str, str], str | None]:
        """What a command in a sandbox of this image starts from: variables, and the image's working directory."""
        ...

    async def snapshot_sandbox(self, sandbox: str, image: Path) -> ImageSpec:
        """Keep what a sandbox wrote, with its image, as an image of its own, and name it."""
        ...

    async def forget_sandbox(self, sandbox: str) -> None:
        """Remove what an ended sandbox wrote."""
        ...
