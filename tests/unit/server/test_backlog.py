"""Many inputs wait: who is served next, what is counted, and when a client is told to send no more."""

from pathlib import Path

import pytest
from tests.unit.server.harness import Ear, Rig, until
from tests.unit.server.test_dispatch_races import take_over

from freehold.core.ids import new_id
from freehold.core.states import CallState
from freehold.protocol.frames import Execute, Extend, Input, Output, Payload, Refused, Room, Status, Submit
from freehold.server.dispatch import pool as pools


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "MAX_BACKLOG", 10)


def _inputs(first: int, count: int, data: bytes = b"args") -> list[Input]:
    return [Input(n, Payload(data)) for n in range(first, first + count)]


async def test_a_call_behind_a_large_map_is_served_next(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.submit("map", 5000)
        same = rig.submit()
        other, ear = new_id("fc"), Ear("another client")
        rig.dispatcher.submit(ear, Submit(other, rig.function.id, "remote", _inputs(0, 1)), workspace="main")
        instance, link = await rig.instance()
        for n in range(3):
            await until(lambda n=n: len(link.of(Execute)) > n)
            rig.answer(instance, link.of(Execute)[n], took=1.0)
        assert {same, other} <= {e.call for e in link.of(Execute)[:4]}


async def test_cancelled_inputs_wait_no_more(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.submit("map", 3)
        gone = rig.submit("map", 50)
        pool = rig.function.pools[b""]
        assert pool.backlog == 53
        rig.dispatcher.cancel(gone)
        assert pool.backlog == 3


async def test_cancelled_inputs_start_no_instances(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.submit("map", 1)
        rig.dispatcher.cancel(rig.submit("map", 50))
        await until(lambda: rig.fleet.instances)
        rig.fleet.tick()
        assert len(rig.fleet.instances) == 1


@pytest.mark.usefixtures("small")
async def test_a_map_that_sends_faster_than_it_runs_is_held_until_half_has_gone(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit("map", 1, more=True)
        rig.dispatcher.extend(Extend(call, _inputs(1, 12), more=True), workspace="main")
        rig.dispatcher.extend(Extend(call, _inputs(13, 2), more=True), workspace="main")
        assert rig.ear.of(Room) == [Room(call, False)]
        instance, link = await rig.instance()
        while len(rig.ear.of(Room)) == 1:
            count = len(rig.ear.of(Output))
            await until(lambda count=count: len(link.of(Execute)) > count)
            rig.answer(instance, link.of(Execute)[count])
            await until(lambda count=count: len(rig.ear.of(Output)) > count)
        assert rig.ear.of(Room)[1:] == [Room(call, True)]
        assert rig.function.pools[b""].backlog < 5


async def test_bytes_are_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "MAX_BACKLOG_BYTES", 1000)
    async with Rig(tmp_path) as rig:
        call = rig.submit("map", 1, more=True)
        rig.dispatcher.extend(Extend(call, _inputs(1, 1, b"x" * 1000), more=True), workspace="main")
        assert rig.ear.of(Room) == [Room(call, False)]


@pytest.mark.usefixtures("small")
async def test_a_held_map_goes_on_when_what_waited_was_cancelled(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        many = rig.submit("map", 11)
        call = rig.submit("map", 1, more=True)
        assert rig.ear.of(Room) == [Room(call, False)]
        rig.dispatcher.cancel(many)
        rig.fleet.tick()
        assert rig.ear.of(Room)[1:] == [Room(call, True)]


@pytest.mark.usefixtures("small")
async def test_a_client_that_goes_on_though_held_is_refused(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit("map", 1, more=True)
        rig.dispatcher.extend(Extend(call, _inputs(1, 60), more=True), workspace="main")
        [refused] = rig.ear.of(Refused)
        assert (refused.call, refused.code) == (call, "resource_exhausted")
        await until(lambda: not rig.dispatcher.calls)
        assert {o.status for o in rig.ear.of(Output)} == {Status.CANCELLED}


@pytest.mark.usefixtures("small")
async def test_a_call_that_would_wait_behind_too_many_is_refused_and_a_map_is_held(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.submit("map", 10)
        refused = rig.submit()
        assert [r.call for r in rig.ear.of(Refused)] == [refused]
        held = rig.submit("map", 1, more=True)
        assert rig.ear.of(Room) == [Room(held, False)]


@pytest.mark.usefixtures("small")
async def test_a_held_client_that_comes_back_is_told_again(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit("map", 1, more=True)
        rig.dispatcher.extend(Extend(call, _inputs(1, 12), more=True), workspace="main")
        rig.dispatcher.dropped(rig.ear)
        back = Ear()
        again = Submit(call, rig.function.id, "map", _inputs(0, 13), more=True, again=True)
        rig.dispatcher.submit(back, again, workspace="main")
        assert back.of(Room) == [Room(call, False)]


async def test_a_client_hears_nothing_after_it_left(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit("map", 3)
        stays = Ear()
        rig.dispatcher.watch(rig.dispatcher.calls[call], stays)
        rig.dispatcher.dropped(rig.ear)
        assert rig.dispatcher.calls[call].subscribers == [stays]
        assert not rig.ear.calls
        rig.dispatcher.cancel(call)
        await until(lambda: not rig.dispatcher.calls)
        assert not stays.calls
        assert not rig.ear.of(Output)


async def test_a_call_that_runs_for_long_gets_one_row(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit()
        rig.dispatcher.notice_long_running(1.0)
        assert not rig.dispatcher.calls[call].noted
        written = rig.record.written
        for _ in range(3):
            rig.dispatcher.notice_long_running(0.0)
        assert rig.record.written == written + 1
        await until(lambda: rig.record.written)
        rig.dispatcher.cancel(call)
        await until(lambda: not rig.dispatcher.calls)
        row = await rig.reads.call("main", call)
        assert row is not None
        assert row.state is CallState.CANCELLED


async def test_a_call_is_found_by_its_key_until_it_is_final(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit(key="k")
        found = rig.dispatcher.keyed("main", rig.function.id, "k")
        assert found is rig.dispatcher.calls[call]
        assert rig.dispatcher.keyed("main", rig.function.id, "") is None
        assert rig.dispatcher.keyed("other", rig.function.id, "k") is None
        rig.dispatcher.cancel(call)
        await until(lambda: not rig.dispatcher.calls)
        assert rig.dispatcher.keyed("main", rig.function.id, "k") is None


async def test_inputs_put_back_after_a_new_version_took_over_can_be_cancelled(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit("map", 2)
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        take_over(rig)
        await until(lambda: rig.dispatcher.calls[call].pool.version == 2)
        rig.fleet.kill(instance, reason="killed")
        rig.dispatcher.cancel(call)
        await until(lambda: not rig.dispatcher.calls)
        assert not rig.registry.functions[rig.function.id].pools[b""].backlog
