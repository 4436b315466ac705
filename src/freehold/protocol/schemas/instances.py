"""Instances, the ports that they forward, and their terminals."""

from dataclasses import dataclass

from freehold.core.states import InstanceState


@dataclass(frozen=True, kw_only=True)
class TunnelRequest:
    port: int  # on which something listens, or will, inside the instance


@dataclass(frozen=True, kw_only=True)
class InstanceView:
    id: str
    app_id: str
    app: str
    function_id: str
    function: str
    version: int
    state: InstanceState
    created: float
    ready: float | None
    ended: float | None
    reason: str | None  # why it ended, or could not start
    pid: int | None
    running: int
    slots: int
    devices: tuple[str, ...]
    phases: dict[str, float]  # start-up waterfall, in order: queue, image, parent, fork, import, enter, first_input
    cpu: float
    memory_mib: int
    simulated: bool = False  # runs on a declared device


@dataclass(frozen=True, kw_only=True)
class TerminalText:
    """What an instance shows at its app's terminal; with `reads` it wants a line."""

    text: str = ""
    reads: bool = False


@dataclass(frozen=True, kw_only=True)
class TerminalAsk:
    """The same, as it comes to whoever has the terminal."""

    id: int
    text: str = ""
    reads: bool = False


@dataclass(frozen=True, kw_only=True)
class TerminalAnswer:
    """The line that was typed, with its end; None when there are no more."""

    line: str | None = None
    id: int = 0  # of what is answered
