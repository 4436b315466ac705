"""A sandbox as the server holds it."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from freehold.core.specs import SandboxSpec
from freehold.launchers.contract import Sandbox
from freehold.protocol.schemas import SandboxView, TunnelView
from freehold.server.sandboxes.commands import Command
from freehold.server.sandboxes.outbound import Outbound
from freehold.server.sandboxes.tunnels import Tunnel
from freehold.server.store.rows import SandboxRow


@dataclass(eq=False, kw_only=True)
class Live:
    """A sandbox of this server's, running or ended a while ago."""

    row: SandboxRow
    spec: SandboxSpec
    image: Path = field(default_factory=Path)
    env: dict[str, str] = field(default_factory=dict[str, str])
    workdir: str = "/root"
    held: Sandbox | None = None
    commands: dict[str, Command] = field(default_factory=dict[str, Command])
    tunnels: dict[int, TunnelView] = field(default_factory=dict[int, TunnelView])
    ways: list[Tunnel] = field(default_factory=list[Tunnel])
    outbound: Outbound | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    used: float = 0.0  # monotonic: when something was last asked of it
    timers: list[asyncio.TimerHandle] = field(default_factory=list[asyncio.TimerHandle])
    starting: "asyncio.Task[None] | None" = None
    ending: "asyncio.Task[None] | None" = None

    @property
    def id(self) -> str:
        return self.row.id


def view(row: SandboxRow) -> SandboxView:
    return SandboxView(
        id=row.id, app_id=row.app_id, app=row.app, name=row.name, state=row.state, created=row.created, ended=row.ended,
        returncode=row.returncode, reason=row.reason, image=row.image, timeout_s=row.timeout_s, tags=row.tags,
    )  # fmt: skip
