"""Pools by overrides: apart from each other, over a new version, over a restart, and gone when nobody uses them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.server.harness import Rig, until

from freehold.core.errors import InvalidError, NotFoundError
from freehold.core.overrides import Overrides
from freehold.core.specs import Batching, FunctionSpec, Method, Scaling
from freehold.core.states import CallState
from freehold.protocol.frames import Execute, Output, Refused
from freehold.protocol.schemas import PoolRef, PoolView, ScalingChange
from freehold.server.dispatch.fleet import IDLE_POOL_S
from freehold.server.dispatch.registry import LiveFunction, pool_key
from freehold.server.restart import resume_calls
from freehold.server.services.pools import Pools


class _Admits:
    """An admission that knows every name."""

    async def overrides(self, workspace: str, spec: FunctionSpec, given: Overrides) -> Overrides:
        assert workspace == "main"
        given.applied(spec)
        return given


def pools(rig: Rig) -> Pools:
    admission: Any = _Admits()
    return Pools(registry=rig.registry, fleet=rig.fleet, store=rig.store, admission=admission, clock=rig.clock)


async def variant(rig: Rig, **overrides: Any) -> str:
    return (await pools(rig).override("main", rig.function.id, Overrides(**overrides))).id


async def _resume(rig: Rig, function_id: str) -> None:
    del rig.registry.functions[rig.function.id]
    rig.function.id = function_id
    rig.registry.functions[function_id] = rig.function
    await resume_calls(
        store=rig.store, registry=rig.registry, fleet=rig.fleet, dispatcher=rig.dispatcher, clock=rig.clock
    )


async def test_each_variant_has_instances_of_its_own(tmp_path: Path) -> None:
    async with Rig(tmp_path, timeout_s=10.0, scaling=Scaling(max_instances=1)) as rig:
        long, longer = await variant(rig, timeout_s=20.0), await variant(rig, timeout_s=30.0)
        assert await variant(rig, timeout_s=20.0) == long
        for one in ("", long, longer, long):
            rig.submit(variant=one)
        assert {p.variant: (p.spec.timeout_s, p.backlog) for p in rig.function.pools.values()} == {
            "": (10.0, 1), long: (20.0, 2), longer: (30.0, 1),
        }  # fmt: skip
        seen: set[float] = set()
        for _ in range(3):
            _, link = await rig.instance()
            await until(lambda link=link: link.of(Execute))
            seen.add(link.of(Execute)[0].timeout_s)
        assert seen == {10.0, 20.0, 30.0}
        assert len({p.key for p in rig.function.pools.values()}) == 3


async def test_parameters_and_overrides_are_one_pool_together(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        long = await variant(rig, timeout_s=20.0)
        for parameters in (b"\x91\x92\xa1a\x01", b"\x91\x92\xa1a\x02", b"\x91\x92\xa1a\x01"):
            rig.submit(variant=long, parameters=parameters)
        assert [p.backlog for p in rig.function.pools.values()] == [2, 1]


async def test_overrides_that_the_server_does_not_know_are_refused(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.submit(variant="0" * 32)
        [refused] = rig.ear.of(Refused)
        assert (refused.code, "call with_options again" in refused.message) == ("not_found", True)
        with pytest.raises(NotFoundError, match="its app may have stopped"):
            await pools(rig).override("other", rig.function.id, Overrides(timeout_s=2.0))


async def test_what_waits_goes_on_with_its_overrides_in_a_new_version(tmp_path: Path) -> None:
    async with Rig(tmp_path, timeout_s=10.0) as rig:
        long = await variant(rig, timeout_s=20.0)
        rig.submit(variant=long)
        old = rig.function.pools[pool_key(b"", long)]
        spec = replace(rig.function.spec, env={"NEW": "1"})
        rig.app.functions["f"] = new = LiveFunction(id=rig.function.id, app=rig.app, spec=spec, digest="", version=2)
        rig.registry.add(rig.app)
        rig.fleet.close_pool(old, grace_s=0.0, reason="version 2 took over", finish_s=0.0)
        await until(lambda: pool_key(b"", long) in new.pools)
        heir = new.pools[pool_key(b"", long)]
        assert (heir.spec.timeout_s, heir.spec.env, heir.backlog) == (20.0, {"NEW": "1"}, 1)


async def test_what_waits_is_refused_when_the_new_version_cannot_be_overridden_so(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        batched = await variant(rig, batching=Batching(max_batch_size=2, wait_ms=1))
        call = rig.submit(variant=batched)
        old = rig.function.pools[pool_key(b"", batched)]
        spec = replace(rig.function.spec, kind="cls", methods=(Method(name="a"), Method(name="b")))
        rig.app.functions["f"] = LiveFunction(id=rig.function.id, app=rig.app, spec=spec, digest="", version=2)
        rig.registry.add(rig.app)
        rig.fleet.close_pool(old, grace_s=0.0, reason="version 2 took over", finish_s=0.0)
        await until(lambda: rig.ear.of(Output))
        assert rig.ear.of(Output)[0].call == call
        rig.submit(variant=batched)
        assert "only one of its class" in rig.ear.of(Refused)[0].message


async def test_a_call_keeps_its_overrides_over_a_restart(tmp_path: Path) -> None:
    async with Rig(tmp_path, timeout_s=10.0) as before:
        long = await variant(before, timeout_s=20.0)
        call = before.submit("spawn", variant=long, parent="fc-parent", parent_index=3)
        await until(lambda: before.ear.heard)
    async with Rig(tmp_path, timeout_s=10.0) as rig:
        await pools(rig).restore()
        await _resume(rig, before.function.id)
        live = rig.dispatcher.calls[call]
        assert (live.pool.variant, live.pool.spec.timeout_s, live.parent_index) == (long, 20.0, 3)


async def test_a_call_whose_overrides_are_gone_ends_with_a_reason(tmp_path: Path) -> None:
    async with Rig(tmp_path) as before:
        call = before.submit("spawn", variant=await variant(before, timeout_s=20.0))
        await until(lambda: before.ear.heard)
    async with Rig(tmp_path) as rig:
        await _resume(rig, before.function.id)
        row = await rig.reads.call("main", call)
        assert row is not None
        assert (row.state, row.error) == (CallState.FAILED, "the overrides that it ran with are gone")


async def test_a_variant_that_nobody_uses_loses_its_pool(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        long = await variant(rig, timeout_s=20.0)
        pool = rig.fleet.pool(rig.function, b"", long)
        pool.last_used -= IDLE_POOL_S + 1
        rig.fleet.tick()
        assert not rig.function.pools
        assert pool.closed


async def test_a_pool_scales_as_it_is_told_also_after_a_restart(tmp_path: Path) -> None:
    async with Rig(tmp_path, scaling=Scaling(max_instances=3)) as before:
        ref = PoolRef(function=before.function.id)
        change = ScalingChange(min_instances=2, scaledown_window_s=5.0)
        assert await pools(before).scale("main", ref, change) == Scaling(
            min_instances=2, max_instances=3, scaledown_window_s=5.0
        )
        assert len(before.fleet.instances) == 2
        assert (await pools(before).scale("main", ref, ScalingChange(max_instances=0))).max_instances is None
        with pytest.raises(InvalidError, match="min_containers=2 is more than max_containers=1"):
            await pools(before).scale("main", ref, ScalingChange(max_instances=1))
        with pytest.raises(InvalidError, match="between 2 and 3600"):
            await pools(before).scale("main", ref, ScalingChange(scaledown_window_s=1.0))
    async with Rig(tmp_path, scaling=Scaling(max_instances=3)) as rig:
        await pools(rig).restore()
        await _resume(rig, before.function.id)
        pools(rig).warm_minimums()
        rig.fleet.tick()
        assert len(rig.fleet.instances) == 2


async def test_stats_count_what_waits_and_runs(tmp_path: Path) -> None:
    async with Rig(tmp_path, scaling=Scaling(max_instances=1)) as rig:
        ref = PoolRef(function=rig.function.id)
        assert await pools(rig).stats("main", ref) == PoolView()
        rig.submit("map", 3)
        _, link = await rig.instance(slots=4)
        await until(lambda: len(link.of(Execute)) == 3)
        assert await pools(rig).stats("main", ref) == PoolView(backlog=0, instances=1, running=3, headroom=1)
