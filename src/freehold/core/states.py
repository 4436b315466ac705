"""The state machines, each an enum and one transition table. Drawn in docs/concepts/states.md."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, TypeVar

from freehold.core.errors import InternalError


class AppState(StrEnum):
    EPHEMERAL = "ephemeral"  # lives as long as the client that runs it
    DETACHED = "detached"  # ephemeral, but outlives its client; stops when its calls are done
    DEPLOYED = "deployed"
    STOPPED = "stopped"


CallKind = Literal["remote", "spawn", "map", "generator", "web", "http"]  # how it was made


class CallState(StrEnum):
    """State of a call, and of each of its inputs."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self not in (CallState.PENDING, CallState.RUNNING)


class InstanceState(StrEnum):
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    DRAINING = "draining"  # finishes what it runs, takes nothing new
    ERROR = "error"  # failed to start, or lost its lease
    OFFLINE = "offline"  # gone

    @property
    def live(self) -> bool:
        return self not in (InstanceState.ERROR, InstanceState.OFFLINE)


class SandboxState(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    EXITED = "exited"  # its command has ended by itself
    TIMED_OUT = "timed_out"
    TERMINATED = "terminated"  # ended from outside: by its owner, with its app, with the server
    FAILED = "failed"  # could not start

    @property
    def final(self) -> bool:
        return self not in (SandboxState.STARTING, SandboxState.RUNNING)


S = TypeVar("S", bound=StrEnum)
Table = Mapping[S, frozenset[S]]

APP: Table[AppState] = {
    AppState.EPHEMERAL: frozenset({AppState.DETACHED, AppState.STOPPED}),
    AppState.DETACHED: frozenset({AppState.STOPPED}),
    AppState.DEPLOYED: frozenset({AppState.STOPPED}),
    AppState.STOPPED: frozenset({AppState.DEPLOYED}),  # deployed again under its name
}

CALL: Table[CallState] = {
    CallState.PENDING: frozenset({CallState.RUNNING, CallState.CANCELLED, CallState.FAILED, CallState.TIMED_OUT}),
    CallState.RUNNING: frozenset(
        # back to PENDING: its instance died or gave it back, or the attempt failed and retries are left
        {CallState.PENDING, CallState.SUCCEEDED, CallState.FAILED, CallState.TIMED_OUT, CallState.CANCELLED}
    ),
    CallState.SUCCEEDED: frozenset(),
    CallState.FAILED: frozenset(),
    CallState.TIMED_OUT: frozenset(),
    CallState.CANCELLED: frozenset(),
}

INSTANCE: Table[InstanceState] = {
    InstanceState.STARTING: frozenset(
        {InstanceState.IDLE, InstanceState.DRAINING, InstanceState.ERROR, InstanceState.OFFLINE}
    ),
    InstanceState.IDLE: frozenset(
        {InstanceState.BUSY, InstanceState.DRAINING, InstanceState.ERROR, InstanceState.OFFLINE}
    ),
    InstanceState.BUSY: frozenset(
        {InstanceState.IDLE, InstanceState.DRAINING, InstanceState.ERROR, InstanceState.OFFLINE}
    ),
    InstanceState.DRAINING: frozenset({InstanceState.ERROR, InstanceState.OFFLINE}),
    InstanceState.ERROR: frozenset({InstanceState.OFFLINE}),
    InstanceState.OFFLINE: frozenset(),
}

_ENDS = frozenset({SandboxState.EXITED, SandboxState.TIMED_OUT, SandboxState.TERMINATED, SandboxState.FAILED})
SANDBOX: Table[SandboxState] = {
    SandboxState.STARTING: _ENDS | {SandboxState.RUNNING},
    SandboxState.RUNNING: _ENDS - {SandboxState.FAILED},
    **dict.fromkeys(_ENDS, frozenset[SandboxState]()),
}


def move(table: Table[S], old: S, new: S) -> S:
    """Return `new` if the table allows `old -> new`; raise InternalError if it does not."""
    if new not in table[old]:
        msg = f"illegal transition {old!r} -> {new!r}"
        raise InternalError(msg)
    return new
