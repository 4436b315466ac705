"""Spawned maps: durable input by input, ended when their client leaves half-way, whole after a restart."""

import asyncio
from pathlib import Path

import pytest
from tests.unit.server.harness import Ear, Rig, until

from freehold.core.ids import new_id
from freehold.core.states import CallState
from freehold.protocol.frames import Accepted, Execute, Extend, Input, Output, Payload, Subscribe
from freehold.server.dispatch import dispatcher
from freehold.server.restart import resume_calls


def _inputs(first: int, count: int) -> list[Input]:
    return [Input(n, Payload(b"args")) for n in range(first, first + count)]


def _accepted(rig: Rig) -> list[int]:
    return [m.inputs for m in rig.ear.of(Accepted)]


async def test_each_chunk_is_acknowledged_when_it_is_durable(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit("spawn", 2, more=True)
        await until(lambda: _accepted(rig) == [2])
        assert rig.dispatcher.extend(Extend(call, _inputs(2, 3), more=False), workspace="main")
        await until(lambda: _accepted(rig) == [2, 5])
        row = await rig.reads.call("main", call)
        assert row is not None
        assert (row.inputs, row.more) == (5, False)
        assert len(await rig.reads.inputs(call)) == 5
        assert not rig.dispatcher.extend(Extend(call, _inputs(5, 1)), workspace="main")


async def test_a_chunk_that_comes_again_is_acknowledged_once_more_and_runs_once(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit("spawn", 2, more=True)
        await until(lambda: _accepted(rig) == [2])
        rig.dispatcher.submit(
            rig.ear, _again(rig, call, _inputs(1, 3), more=True), workspace="main"
        )  # the client did not hear of input 1
        await until(lambda: _accepted(rig)[-1] == 4)
        assert sorted(rig.dispatcher.calls[call].tasks) == [0, 1, 2, 3]


async def test_a_client_that_leaves_half_way_leaves_what_it_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "LEFT_S", 0.05)
    async with Rig(tmp_path) as rig:
        call = rig.submit("spawn", 1, more=True)
        await until(lambda: _accepted(rig) == [1])
        rig.dispatcher.dropped(rig.ear)
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        rig.answer(instance, link.of(Execute)[0])
        await until(lambda: call not in rig.dispatcher.calls)
        row = await rig.reads.call("main", call)
        assert row is not None
        assert (row.state, row.more) == (CallState.SUCCEEDED, False)


async def test_a_client_that_comes_back_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "LEFT_S", 0.05)
    async with Rig(tmp_path) as rig:
        call = rig.submit("spawn", 1, more=True)
        await until(lambda: _accepted(rig) == [1])
        rig.dispatcher.dropped(rig.ear)
        rig.ear = Ear()
        rig.dispatcher.submit(rig.ear, _again(rig, call, _inputs(1, 1), more=True), workspace="main")
        await asyncio.sleep(0.1)
        assert rig.dispatcher.calls[call].more


async def test_a_half_sent_map_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with Rig(tmp_path) as before:
        call = before.submit("spawn", 3, more=True)
        await until(lambda: _accepted(before) == [3])
    async with Rig(tmp_path) as rig:
        await _resume(rig, before)
        live = rig.dispatcher.calls[call]
        assert (live.more, live.last_index, len(live.tasks)) == (True, 2, 3)
        rig.dispatcher.submit(rig.ear, _again(rig, call, _inputs(2, 2), more=False), workspace="main")
        await until(lambda: _accepted(rig) and _accepted(rig)[-1] == 4)
        assert (live.more, sorted(live.tasks)) == (False, [0, 1, 2, 3])


async def test_a_range_of_outcomes_is_told(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit("spawn", 6)
        instance, link = await rig.instance(slots=6)
        await until(lambda: len(link.of(Execute)) == 6)
        for execute in link.of(Execute):
            rig.answer(instance, execute)
        await until(lambda: call not in rig.dispatcher.calls)
        ear = Ear()
        await rig.record.subscribe(ear, "main", Subscribe(call, 2, 4), live=False)
        assert [o.index for o in ear.of(Output)] == [2, 3]
        await rig.record.subscribe(ear, "main", Subscribe(call, 4, 2**40), live=False)
        assert [o.index for o in ear.of(Output)] == [2, 3, 4, 5]


async def test_results_that_are_kept_no_longer_have_expired(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.record.keep_s, old, ear = 3600.0, f"fc-{1_000_000:012x}{0:016x}", Ear()
        await rig.record.subscribe(ear, "main", Subscribe(old), live=False)
        [output] = ear.of(Output)
        assert b"OutputExpiredError" in output.payload.data
        await rig.record.subscribe(ear, "main", Subscribe(new_id("fc")), live=False)
        assert ear.heard[-1].code == "not_found"


def _again(rig: Rig, call: str, inputs: list[Input], *, more: bool) -> dispatcher.Submit:
    return dispatcher.Submit(call, rig.function.id, "spawn", inputs, more=more, again=True)


async def _resume(rig: Rig, before: Rig) -> None:
    rig.function.id = before.function.id
    rig.registry.functions[rig.function.id] = rig.function
    await resume_calls(
        store=rig.store, registry=rig.registry, fleet=rig.fleet, dispatcher=rig.dispatcher, clock=rig.clock
    )
