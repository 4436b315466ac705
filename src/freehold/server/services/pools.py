"""Pools of a function: what overrides it, how it scales, how much it has to do."""

from dataclasses import dataclass, replace

import msgspec

from freehold.core.clock import Clock
from freehold.core.environments import root_of
from freehold.core.errors import InvalidError, NotFoundError
from freehold.core.overrides import Overrides
from freehold.core.specs import Scaling
from freehold.protocol.schemas import PoolRef, PoolView, ScalingChange, VariantView
from freehold.server.dispatch.fleet import Fleet
from freehold.server.dispatch.pool import Pool
from freehold.server.dispatch.registry import LiveFunction, Registry, pool_key
from freehold.server.services.admission import Admission
from freehold.server.store import writes
from freehold.server.store.contract import Store
from freehold.server.store.reads import Reads
from freehold.server.store.rows import ScalingRow, VariantRow


@dataclass(kw_only=True)
class Pools:
    """The pools of this platform's functions."""

    registry: Registry
    fleet: Fleet
    store: Store
    admission: Admission
    clock: Clock

    async def restore(self) -> None:
        """Bring back what was overridden and changed before the server ended."""
        for row in await Reads(self.store).variants():
            self.registry.variants[row.workspace, row.id] = msgspec.json.decode(row.spec, type=Overrides)
        for row in await Reads(self.store).scalings():
            scaling = msgspec.json.decode(row.spec, type=Scaling)
            self.registry.scalings[row.function_id, row.parameters, row.variant] = scaling

    def warm_minimums(self) -> None:
        """Start what was asked for of pools that a function has not by itself."""
        for (function_id, parameters, variant), scaling in self.registry.scalings.items():
            function = self.registry.functions.get(function_id)
            if function is not None and scaling.min_instances:
                self.fleet.pool(function, parameters, variant).pump_soon()

    async def override(self, workspace: str, function_id: str, overrides: Overrides) -> VariantView:
        """Admit overrides of a function as a deployment is admitted; equal ones have one id."""
        function = self._function(workspace, function_id)
        own = function.app.workspace  # whose secrets and volumes are meant, wherever it is called from
        sealed = await self.admission.overrides(own, function.spec, overrides)
        variant = sealed.digest()
        if not self.registry.has_variant(own, variant):
            row = VariantRow(own, variant, self.clock.now(), msgspec.json.encode(sealed))
            await self.store.write(writes.put_variants([row]))
            self.registry.variants[own, variant] = sealed
        asks = sealed.cpu is not None or sealed.memory_mib is not None
        warnings = self.admission.beyond(sealed.applied(function.spec)) if asks else ()
        return VariantView(id=variant, overrides=sealed, warnings=warnings)

    async def scale(self, workspace: str, ref: PoolRef, change: ScalingChange) -> Scaling:
        """Change how a pool scales, from now to the next deployment; return how it does."""
        function = self._function(workspace, ref.function)
        spec = self.registry.spec(function, ref.parameters, self._known(function, ref.variant))
        scaling = _changed(spec.scaling, change)
        if scaling != spec.scaling:
            row = ScalingRow(
                ref.function, ref.parameters, ref.variant, self.clock.now(), msgspec.json.encode(scaling).decode()
            )
            await self.store.write(writes.put_scalings([row]))
            self.registry.scalings[ref.function, ref.parameters, ref.variant] = scaling
            pool = self.fleet.pool(function, ref.parameters, ref.variant)
            pool.spec = replace(pool.spec, scaling=scaling)
            pool.scale()
        return scaling

    async def stats(self, workspace: str, ref: PoolRef) -> PoolView:
        """What a pool has to do now; nothing, when it was not used yet."""
        function = self._function(workspace, ref.function)
        pool = function.pools.get(pool_key(ref.parameters, self._known(function, ref.variant)))
        return _view(pool) if pool is not None else PoolView()

    def _function(self, workspace: str, function_id: str) -> LiveFunction:
        function = self.registry.functions.get(function_id)
        if function is None or root_of(function.app.workspace) != root_of(workspace):
            raise NotFoundError(f"no function {function_id!r} runs now; its app may have stopped")
        return function

    def _known(self, function: LiveFunction, variant: str) -> str:
        if not self.registry.has_variant(function.app.workspace, variant):
            raise NotFoundError("the overrides of this handle are unknown here: call with_options again")
        return variant


def _changed(scaling: Scaling, change: ScalingChange) -> Scaling:
    said = {
        "min_instances": change.min_instances, "buffer_instances": change.buffer_instances, "scaledown_window_s": change.scaledown_window_s,
    }  # fmt: skip
    scaling = replace(scaling, **{name: value for name, value in said.items() if value is not None})
    if change.max_instances is not None:
        scaling = replace(scaling, max_instances=change.max_instances or None)
    low, high = scaling.min_instances, scaling.max_instances
    if min(low, high or 0, scaling.buffer_instances) < 0 or not 2 <= scaling.scaledown_window_s <= 3600:
        raise InvalidError("numbers of containers are at least 0, and scaledown_window is between 2 and 3600 seconds")
    if high is not None and low > high:
        raise InvalidError(f"min_containers={low} is more than max_containers={high}")
    return scaling


def _view(pool: Pool) -> PoolView:
    live = pool.live
    return PoolView(
        backlog=pool.backlog, instances=len(live), running=pool.running,
        headroom=sum(max(0, i.slots - i.load) for i in live if i.accepts),
    )  # fmt: skip
