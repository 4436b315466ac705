"""Sandboxes and the commands in them."""

from dataclasses import dataclass, field
from typing import Any, Literal

from freehold.core.specs import ImageSpec, SandboxSpec, SecretRef
from freehold.core.states import SandboxState


@dataclass(frozen=True, kw_only=True)
class SandboxRequest:
    app: str  # id or name
    spec: SandboxSpec


@dataclass(frozen=True, kw_only=True)
class SandboxView:
    id: str
    app_id: str
    app: str
    name: str | None
    state: SandboxState
    created: float
    ended: float | None
    returncode: int | None  # 124 after its timeout, 137 when it was terminated
    reason: str | None  # why it ended, where it did not by itself
    image: str  # digest
    timeout_s: float
    tags: dict[str, str] = field(default_factory=dict[str, str])
    warnings: tuple[str, ...] = ()  # as it is made: what it is given less of than it asks for


@dataclass(frozen=True, kw_only=True)
class CommandRequest:
    """Run a program in a sandbox or an instance, or one of a sandbox's tools for files."""

    argv: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict[str, str])
    secrets: tuple[SecretRef, ...] = ()
    workdir: str | None = None
    timeout_s: float | None = None
    terminal: tuple[int, int] | None = None  # rows, columns
    silent: tuple[Literal["stdout", "stderr"], ...] = ()  # streams that nobody will read
    tool: Literal["", "read", "write", "list", "stat", "make", "remove", "watch"] = ""
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])
    attached: bool = False  # it is hung up on, and killed, when nobody reads its streams or waits for its end any more


@dataclass(frozen=True, kw_only=True)
class CommandView:
    """A command in a sandbox or an instance. `main` is a sandbox's own."""

    id: str
    returncode: int | None
    timed_out: bool = False
    failure: dict[str, str] | None = None  # of a tool: the error's name, and its message
    cut_off: bool = False  # it ended with its sandbox or instance


@dataclass(frozen=True, kw_only=True)
class SizeRequest:
    rows: int
    columns: int


@dataclass(frozen=True, kw_only=True)
class SignalRequest:
    number: int = 15


@dataclass(frozen=True, kw_only=True)
class TunnelView:
    """A port of an instance or a sandbox, and where it is reached."""

    port: int  # inside
    host: str
    host_port: int


@dataclass(frozen=True, kw_only=True)
class SnapshotView:
    spec: ImageSpec
    digest: str
