"""Instances: what runs now, and what ran."""

from freehold.core.errors import ConflictError, NotFoundError
from freehold.core.placement import cpu_of, memory_of
from freehold.protocol.schemas import InstanceView
from freehold.server.dispatch.fleet import Fleet
from freehold.server.dispatch.instance import Instance
from freehold.server.store.contract import Store
from freehold.server.store.reads import Reads
from freehold.server.store.rows import InstanceFilter, InstanceRow


class Instances:
    """Instances of this platform, live ones from memory, ended ones from the store."""

    def __init__(self, *, fleet: Fleet, store: Store) -> None:
        self._fleet, self._reads = fleet, Reads(store)

    async def list(
        self,
        workspace: str,
        *,
        app: str | None = None,
        function: str | None = None,
        live_only: bool = True,
        limit: int = 100,
    ) -> list[InstanceView]:
        """Newest first."""
        rows = await self._reads.instances(
            workspace, InstanceFilter(app=app, function=function, live_only=live_only, limit=limit)
        )
        live = self._fleet.instances
        return [_live_view(live[r.id]) if r.id in live else _view(r) for r in rows]

    async def get(self, workspace: str, instance_id: str) -> InstanceView:
        live = self._fleet.instances.get(instance_id)
        if live is not None and live.pool.workspace == workspace:
            return _live_view(live)
        row = await self._reads.instance(workspace, instance_id)
        if row is None:
            raise NotFoundError(f"no instance {instance_id!r}; `freehold instance list` shows those that run")
        return _view(row)

    async def running(self, workspace: str, instance_id: str) -> Instance:
        """One that runs. NotFoundError for one that never was, ConflictError for one that has ended."""
        live = self._fleet.instances.get(instance_id)
        if live is None or live.pool.workspace != workspace:
            view = await self.get(workspace, instance_id)
            raise ConflictError(
                f"instance {instance_id} has ended ({view.reason or view.state.value}); `freehold container list` shows those that run"
            )
        return live

    async def stop(self, workspace: str, instance_id: str, *, graceful: bool = True, grace_s: float = 10.0) -> None:
        """Drain one instance, or end it at once: what it runs is then run again elsewhere. Its pool starts another when it needs one."""
        live = self._fleet.instances.get(instance_id)
        if live is None or live.pool.workspace != workspace:
            await self.get(workspace, instance_id)  # NotFoundError for one that never was; an ended one is stopped
            return
        if graceful:
            self._fleet.stop(live, grace_s=grace_s, reason="stopped by its user")
        else:
            self._fleet.kill(live, reason="stopped by its user", blame=False)


def _live_view(instance: Instance) -> InstanceView:
    pool = instance.pool
    return InstanceView(
        id=instance.id, app_id=pool.app_id, app=pool.app_name, function_id=pool.function_id, function=pool.function_name,
        version=pool.version, state=instance.state, created=instance.created, ready=instance.ready, ended=instance.ended,
        reason=instance.reason, pid=instance.pid, running=instance.load, slots=instance.slots,
        devices=tuple(f"{d.type} {d.id}" for d in instance.devices), phases=dict(instance.phases), cpu=cpu_of(pool.spec.resources),
        memory_mib=memory_of(pool.spec.resources), simulated=any(d.simulated for d in instance.devices),
    )  # fmt: skip


def _view(row: InstanceRow) -> InstanceView:
    return InstanceView(
        id=row.id, app_id=row.app_id, app=row.app, function_id=row.function_id, function=row.function, version=row.version,
        state=row.state, created=row.created, ready=row.ready, ended=row.ended, reason=row.reason, pid=row.pid, running=0,
        slots=row.slots, devices=row.devices, phases=row.phases, cpu=row.cpu, memory_mib=row.memory_mib, simulated=row.simulated,
    )  # fmt: skip
