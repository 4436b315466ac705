"""The platform at a glance."""

from dataclasses import dataclass

from freehold.core.clock import Clock
from freehold.core.home import Home
from freehold.launchers.contract import Launcher
from freehold.protocol.schemas import StatusView
from freehold.protocol.version import PROTOCOL_VERSION
from freehold.server.dispatch.fleet import Fleet
from freehold.server.dispatch.registry import Registry
from freehold.server.store.contract import Store


@dataclass(kw_only=True)
class Status:
    """What `freehold status` and the dashboard's machine page show."""

    fleet: Fleet
    registry: Registry
    launcher: Launcher
    store: Store
    clock: Clock
    home: Home
    version: str
    pid: int
    started: float
    url: str = ""
    sqlite: str = "ok"

    def ready(self) -> bool:
        return bool(self.url) and self.store.fault is None

    def status(self) -> StatusView:
        machine, pools = self.fleet.occupied, self.registry.pools()
        return StatusView(
            version=self.version, protocol=PROTOCOL_VERSION, home=str(self.home.root), url=self.url, pid=self.pid, started=self.started,
            cpu_total=machine.cpu, cpu_reserved=machine.cpu_taken, memory_total_mib=machine.memory_mib,
            memory_reserved_mib=machine.memory_taken_mib,
            devices=tuple(f"{d.type} {d.id}{' (simulated)' if d.simulated else ''}" for d in machine.devices),
            apps=len(self.registry.apps), instances=len(self.fleet.instances), backlog=sum(p.backlog for p in pools),
            running=sum(p.running for p in pools), guards=self.launcher.guards() | {"sqlite": self.sqlite, "store": self.store.fault or "ok"},
        )  # fmt: skip
