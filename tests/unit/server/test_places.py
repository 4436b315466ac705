"""One machine, several pools: who makes room for whom, and in which order they are served."""

import asyncio
from pathlib import Path

from tests.unit.server.harness import Ear, Rig, until

from freehold.core.devices import parse_declared
from freehold.core.placement import Machine
from freehold.core.specs import Resources, Scaling, Web
from freehold.core.states import InstanceState
from freehold.protocol.frames import Execute
from freehold.server.dispatch.instance import Instance

ONE_GPU = Machine(cpu=4, memory_mib=8192, devices=parse_declared("T4:1"))
TWO_GPUS = Machine(cpu=4, memory_mib=8192, devices=parse_declared("T4:2"))
GPU = Resources(gpu=("T4",))


async def _serve(rig: Rig, link: Ear, instance: Instance) -> None:
    await until(lambda: link.of(Execute))
    rig.answer(instance, link.of(Execute)[-1])


async def test_an_idle_instance_gives_its_gpu_to_a_pool_that_waits(tmp_path: Path) -> None:
    async with Rig(tmp_path, machine=ONE_GPU, resources=GPU) as rig:
        other = rig.declare("other", resources=GPU)
        rig.submit()
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        rig.submit(to=other)
        await until(lambda: other.pools[b""].blocked)
        assert instance.state is InstanceState.BUSY
        rig.answer(instance, link.of(Execute)[0])
        rig.fleet.tick()
        second, link = await rig.instance()
        assert second.pool is other.pools[b""]
        assert instance.state is InstanceState.OFFLINE
        assert not second.pool.blocked


async def test_an_idle_instance_stays_when_its_place_would_not_do(tmp_path: Path) -> None:
    async with Rig(tmp_path, machine=ONE_GPU) as rig:
        first, second = rig.declare("a", resources=GPU), rig.declare("b", resources=GPU)
        rig.submit()
        plain, link = await rig.instance()
        await _serve(rig, link, plain)
        rig.submit(to=first)
        _, link = await rig.instance()
        await until(lambda: link.of(Execute))
        rig.submit(to=second)
        await until(lambda: second.pools[b""].blocked)
        rig.fleet.tick()
        assert plain.state is InstanceState.IDLE


async def test_a_minimum_is_left_alone(tmp_path: Path) -> None:
    async with Rig(tmp_path, machine=ONE_GPU, resources=GPU, scaling=Scaling(min_instances=1)) as rig:
        other = rig.declare("other", resources=GPU)
        rig.submit()
        instance, link = await rig.instance()
        await _serve(rig, link, instance)
        rig.submit(to=other)
        await until(lambda: other.pools[b""].blocked)
        rig.fleet.tick()
        assert instance.state is InstanceState.IDLE


async def test_a_pool_that_grows_takes_no_place_of_one_that_has_no_more(tmp_path: Path) -> None:
    async with Rig(tmp_path, machine=TWO_GPUS, resources=GPU) as rig:
        other = rig.declare("other", resources=GPU)
        for function in (rig.function, other):
            rig.submit(to=function)
            instance, link = await rig.instance()
            await until(lambda link=link: link.of(Execute))
            instance.started_at -= 100.0
        rig.submit("map", 50)
        pool = rig.function.pools[b""]
        await until(lambda: pool.blocked)
        rig.fleet.places._waiting[pool] -= 100.0
        rig.fleet.tick()
        assert {i.state for i in rig.fleet.instances.values()} == {InstanceState.BUSY}


async def test_who_waited_first_is_served_first(tmp_path: Path) -> None:
    async with Rig(tmp_path, machine=ONE_GPU, resources=GPU) as rig:
        others = [rig.declare(name, resources=GPU) for name in ("a", "b")]
        rig.submit("map", 5)
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        for other in reversed(others):
            rig.submit(to=other)
            await until(lambda other=other: other.pools[b""].blocked)
        rig.fleet.kill(instance, reason="killed")
        second, _ = await rig.instance()
        assert second.pool is others[1].pools[b""]


async def test_a_pool_that_cannot_be_placed_holds_up_no_other(tmp_path: Path) -> None:
    async with Rig(tmp_path, machine=ONE_GPU, resources=GPU) as rig:
        gpu, plain = rig.declare("gpu", resources=GPU), rig.declare("plain")
        rig.submit("map", 2)
        _, link = await rig.instance()
        await until(lambda: link.of(Execute))
        rig.submit(to=gpu)
        await until(lambda: gpu.pools[b""].blocked)
        rig.submit(to=plain)
        third, _ = await rig.instance()
        assert third.pool is plain.pools[b""]


async def test_a_pool_that_is_always_busy_gives_way_after_its_turn(tmp_path: Path) -> None:
    async with Rig(tmp_path, machine=ONE_GPU, resources=GPU) as rig:
        other = rig.declare("other", resources=GPU)
        rig.submit("map", 50)
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        rig.submit(to=other)
        await until(lambda: other.pools[b""].blocked)
        rig.fleet.tick()
        assert instance.state is InstanceState.BUSY
        waiting = rig.fleet.places._waiting
        waiting[other.pools[b""]] -= 100.0
        instance.started_at -= 100.0
        rig.fleet.tick()
        assert instance.state is InstanceState.DRAINING
        rig.fleet.tick()
        rig.answer(instance, link.of(Execute)[0])
        rig.fleet.kill(instance, reason="drained")
        second, link = await rig.instance()
        assert second.pool is other.pools[b""]
        await _serve(rig, link, second)
        rig.fleet.tick()
        third, _ = await rig.instance()
        assert third.pool is rig.function.pools[b""]


async def test_an_instance_that_has_only_begun_or_holds_a_web_request_keeps_its_place(tmp_path: Path) -> None:
    async with Rig(tmp_path, machine=TWO_GPUS, resources=GPU) as rig:
        other = rig.declare("other", resources=GPU)
        rig.submit("map", 50)
        young, link = await rig.instance()
        await until(lambda: link.of(Execute))
        web, link = await rig.instance()
        await until(lambda: link.of(Execute))
        web.web = 1
        rig.submit(to=other)
        await until(lambda: other.pools[b""].blocked)
        rig.fleet.places._waiting[other.pools[b""]] -= 100.0
        web.started_at -= 100.0
        rig.fleet.tick()
        assert {young.state, web.state} == {InstanceState.BUSY}


async def test_a_pool_that_wants_nothing_any_more_waits_no_longer(tmp_path: Path) -> None:
    async with Rig(tmp_path, machine=ONE_GPU, resources=GPU) as rig:
        other = rig.declare("other", resources=GPU)
        rig.submit()
        _, link = await rig.instance()
        await until(lambda: link.of(Execute))
        late = rig.submit(to=other)
        await until(lambda: other.pools[b""].blocked)
        rig.dispatcher.cancel(late)
        rig.fleet.tick()
        assert not other.pools[b""].blocked
        assert not rig.fleet.places._waiting


async def test_a_server_on_a_port_of_its_own_has_one_instance_and_lets_others_have_the_port_when_idle(
    tmp_path: Path,
) -> None:
    own = Web(kind="web_server", port=8000)
    async with Rig(tmp_path, web=own) as rig:
        pool = rig.fleet.pool(rig.function, b"")
        requests = [asyncio.ensure_future(pool.acquire()) for _ in range(2)]
        first, _ = await rig.instance()
        await requests[0]
        rig.fleet.tick()
        assert len(pool.instances) == 1
        other = rig.declare("other", web=own)
        waiting = asyncio.ensure_future(rig.fleet.pool(other, b"").acquire())
        await until(lambda: rig.fleet.pool(other, b"").blocked)
        pool.release(first)
        pool.release(await requests[1])
        rig.fleet.tick()
        second, _ = await rig.instance()
        assert (await waiting) is second
        assert first.state is InstanceState.OFFLINE


async def test_ports_are_taken_from_the_machine_only_where_its_network_is_shared(tmp_path: Path) -> None:
    web = Web(kind="web_server", port=8000)
    async with Rig(tmp_path, web=web, scaling=Scaling(min_instances=2)) as rig:
        pool = rig.fleet.pool(rig.function, b"")
        pool.scale()
        assert len(pool.live) == 1
        assert "waits for port 8000" in str(pool.blocked)
        rig.launcher.networks = "own"
        pool.scale()
        assert (len(pool.live), pool.blocked) == (2, None)
