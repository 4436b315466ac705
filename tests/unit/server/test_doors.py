"""Web requests and the instances that serve them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.unit.server.harness import Ear, Rig, until

from freehold.core.errors import ResourceExhaustedError, ServiceError
from freehold.core.specs import Concurrency, Resources, Scaling, Web
from freehold.core.states import CallState, InstanceState
from freehold.protocol.frames import Drain, Ready
from freehold.server.dispatch.instance import Instance
from freehold.server.dispatch.pool import WISH_S, Pool
from freehold.server.doors import Doors
from freehold.server.ingress.contract import Lease, Outcome, Route
from freehold.server.store.rows import CallRow


class House:
    """A rig whose function is a web endpoint, and its doors."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.doors = Doors(
            registry=rig.registry, fleet=rig.fleet, record=rig.record, clock=rig.clock, host="127.0.0.1", token="t"
        )
        self.recorded: list[CallRow] = []
        self.written: list[Any] = []  # to be called when what was recorded can be read
        rig.record.web_call = self._record  # type: ignore[method-assign]
        self.route = Route(label="app-f", function_id=rig.function.id)

    def _record(self, row: CallRow, then: Any) -> None:
        self.recorded.append(row)
        self.written.append(then)

    @property
    def pool(self) -> Pool:
        return self.rig.fleet.pool(self.rig.function, b"")

    def acquire(self, session: str = "") -> "asyncio.Task[Lease]":
        deadline = asyncio.get_running_loop().time() + 5
        return asyncio.ensure_future(
            self.doors.acquire(self.route, deadline=deadline, request_id="rq-1", session=session)
        )

    async def ready(self, slots: int = 1) -> tuple[Instance, Ear]:
        await until(lambda: any(i.link is None for i in self.rig.fleet.instances.values()))
        instance = next(i for i in self.rig.fleet.instances.values() if i.link is None)
        await until(lambda: any(r.instance == instance.id for r in self.rig.launcher.started))
        link = Ear()
        self.rig.fleet.joined(instance, link, pid=1)
        self.rig.fleet.ready(instance, Ready(slots, {"": "unix:/nowhere"}, {}))
        return instance, link


@asynccontextmanager
async def house(folder: Path, **spec: Any) -> AsyncGenerator[House]:
    async with Rig(folder, web=Web(kind="asgi_app"), timeout_s=7.0, **spec) as rig:
        yield House(rig)


async def test_an_instance_where_nothing_listens_any_more_is_replaced(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        lease = home.acquire()
        instance, link = await home.ready()
        home.doors.release(await lease, Outcome(kind="unreachable"))
        assert link.of(Drain)
        again = home.acquire()
        other, _ = await home.ready()
        assert (await again).instance == other.id != instance.id


async def test_who_would_wait_past_the_deadline_is_told_at_once(tmp_path: Path) -> None:
    async with house(tmp_path, scaling=Scaling(max_instances=1)) as home:
        requests = [home.acquire() for _ in range(60)]
        await home.ready()
        for request in requests[:6]:
            lease = await request
            await asyncio.sleep(0.01)
            home.doors.release(lease, Outcome(kind="ok", status=200))
        waited = home.rig.clock.monotonic
        home.rig.clock.monotonic = lambda: waited() + 6.0  # type: ignore[method-assign]
        with pytest.raises(ResourceExhaustedError, match="53 requests wait for endpoint 'app-f' already") as refused:
            await home.acquire()
        assert 20 < refused.value.retry_after_s <= 60
        for request in requests:
            request.cancel()


async def test_nobody_is_told_to_go_while_the_pool_may_grow_or_is_cold(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        requests = [home.acquire() for _ in range(500)]
        await home.ready()
        for request in requests[:20]:
            home.doors.release(await request, Outcome(kind="ok", status=200))
        late = home.acquire()
        await asyncio.sleep(0.01)
        assert not late.done()
        for request in [*requests, late]:
            request.cancel()


async def test_an_instance_that_is_stuck_in_its_only_request_is_killed(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        request = home.acquire()
        instance, _ = await home.ready()
        lease = await request
        assert lease.timeout_s == 7.0
        home.doors.release(lease, Outcome(kind="late"))
        await until(lambda: instance.id in home.rig.launcher.killed)
        assert [r.state for r in home.recorded] == [CallState.TIMED_OUT]


async def test_an_instance_with_one_stuck_request_finishes_its_others(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        stuck, other = home.acquire(), home.acquire()
        instance, link = await home.ready(slots=2)
        lease = await other
        home.doors.release(await stuck, Outcome(kind="late"))
        assert instance.state is InstanceState.DRAINING
        assert not link.of(Drain)  # it would end what it does not know of
        await asyncio.sleep(0.01)
        assert instance.id in home.rig.fleet.instances
        home.doors.release(lease, Outcome(kind="ok", status=200))
        await until(lambda: instance.id not in home.rig.fleet.instances)
        assert not home.rig.launcher.killed


@asynccontextmanager
async def server(folder: Path, **spec: Any) -> AsyncGenerator[House]:
    async with Rig(folder, web=Web(kind="server"), timeout_s=7.0, **spec) as rig:
        yield House(rig)


async def test_a_server_that_is_cold_answers_at_once_and_starts(tmp_path: Path) -> None:
    async with server(tmp_path) as home:
        with pytest.raises(ServiceError, match="no instance of server 'app-f' is warm yet"):
            await home.acquire()
        instance, _ = await home.ready(slots=2)
        lease = await home.acquire()
        assert (lease.instance, lease.timeout_s) == (instance.id, None)


async def test_a_server_whose_instances_are_full_says_so_and_grows_as_far_as_it_may(tmp_path: Path) -> None:
    one = Concurrency(max_inputs=1)
    async with server(tmp_path, concurrency=one, scaling=Scaling(max_instances=2)) as home:
        home.pool.wish()
        first, _ = await home.ready()
        await home.acquire()
        with pytest.raises(ResourceExhaustedError, match="as many requests as it takes"):
            await home.acquire()
        second, _ = await home.ready()
        assert (await home.acquire()).instance == second.id != first.id
        with pytest.raises(ResourceExhaustedError):
            await home.acquire()
        await asyncio.sleep(0.01)
        assert len(home.rig.fleet.instances) == 2


async def test_a_session_waits_for_nobody_else_and_stays_where_it_is(tmp_path: Path) -> None:
    one = Concurrency(max_inputs=4, target_inputs=1)
    async with server(tmp_path, concurrency=one, scaling=Scaling(min_instances=2)) as home:
        home.pool.wish()
        for _ in range(2):
            await home.ready(slots=4)
        took = {name: (await home.acquire(name)).instance for name in ("a", "b")}
        assert {name: (await home.acquire(name)).instance for name in took} == took
        while home.rig.fleet.instances[took["a"]].load < 4:
            await home.acquire("a")
        with pytest.raises(ResourceExhaustedError):
            await home.acquire("a")


async def test_a_wish_passes(tmp_path: Path) -> None:
    async with server(tmp_path) as home:
        home.pool.wish()
        assert home.pool.wishes
        now = home.rig.clock.monotonic()
        home.rig.clock.monotonic = lambda: now + WISH_S + 1  # type: ignore[method-assign]
        assert not home.pool.wishes


@pytest.mark.parametrize("kind", ["asgi_app", "server"])
async def test_a_request_for_what_this_machine_can_never_run_is_refused_at_once(tmp_path: Path, kind: Any) -> None:
    async with Rig(tmp_path, web=Web(kind=kind), resources=Resources(gpu=("h100",))) as rig:
        with pytest.raises(ServiceError, match="function 'f': gpu='h100': this machine has no GPU"):
            await House(rig).acquire()


async def test_a_request_is_there_until_it_can_be_read(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        waiting = home.acquire()
        instance, _ = await home.ready()
        lease = await waiting
        assert [(r.id, r.state, i) for r, i in home.doors.under_way()] == [
            (lease.call_id, CallState.RUNNING, instance.id)
        ]
        home.doors.release(lease, Outcome(kind="ok", status=200))
        assert [(r.id, r.state) for r, _ in home.doors.under_way()] == [(lease.call_id, CallState.SUCCEEDED)]
        home.written[0]()
        assert not home.doors.under_way()
