"""What happens to a call when two things happen to it at once."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.server.harness import Ear, Rig, until

from freehold.core.errors import ResourceExhaustedError
from freehold.core.states import CallState, InstanceState
from freehold.launchers.contract import Exit, Started, StartRequest
from freehold.protocol.frames import (
    Buffer,
    CancelInput,
    Execute,
    Extend,
    Input,
    Output,
    Payload,
    Refused,
    Result,
    Returned,
    Status,
    Submit,
    Subscribe,
)
from freehold.protocol.payload import decode_failure
from freehold.server.dispatch import dispatcher
from freehold.server.dispatch.registry import LiveFunction
from freehold.server.link import Links
from freehold.server.store import writes


def _input(index: int) -> Input:
    return Input(index, Payload(b"args"))


async def _state(rig: Rig, call: str) -> CallState | None:
    row = await rig.reads.call("main", call)
    return row.state if row else None


async def test_a_map_whose_last_word_comes_before_the_commit_of_its_last_output_ends(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit("map", 1, more=True)
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        rig.answer(instance, link.of(Execute)[0])
        rig.dispatcher.extend(Extend(call, []), workspace="main")
        await until(lambda: not rig.dispatcher.calls)
        assert await _state(rig, call) is CallState.SUCCEEDED


async def test_cancelling_a_map_that_waits_for_inputs_ends_it(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit("map", 1, more=True)
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        rig.answer(instance, link.of(Execute)[0])
        await until(lambda: rig.ear.of(Output))
        assert rig.dispatcher.cancel(call)
        await until(lambda: not rig.dispatcher.calls)
        assert await _state(rig, call) is CallState.CANCELLED


async def test_another_workspace_can_neither_extend_nor_join_a_call(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit("map", 1, more=True)
        rig.dispatcher.extend(Extend(call, [_input(1)], more=True), workspace="other")
        assert rig.dispatcher.calls[call].total == 1
        spy = Ear()
        rig.dispatcher.submit(spy, Submit(call, rig.function.id, "map", []), workspace="other")
        assert spy.of(Refused)
        assert spy not in rig.dispatcher.calls[call].subscribers


async def test_an_input_is_cancelled_on_the_instance_it_runs_on_after_a_new_version_took_over(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit("map", 2)
        _, link = await rig.instance()
        await until(lambda: link.of(Execute))
        take_over(rig)
        await until(lambda: rig.dispatcher.calls[call].pool.version == 2)
        rig.dispatcher.cancel(call)
        assert [c.index for c in link.of(CancelInput)] == [0]


async def test_inputs_follow_over_two_versions(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit("map", 2)
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        pool = instance.pool
        take_over(rig)
        take_over(rig)
        rig.dispatcher.returned(instance, Returned([(call, 0, 1)]))
        await until(lambda: not pool.backlog)
        now = rig.registry.functions[rig.function.id]
        assert now.version == 3
        assert sorted(t.index for t in now.pools[b""].queue) == [0, 1]


async def test_inputs_and_web_requests_of_a_function_that_is_gone_end(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.submit()
        pool = rig.function.pools[b""]
        rig.registry.remove(rig.function.app)
        rig.fleet.close_pool(pool, grace_s=0.0, reason="gone")
        await until(lambda: rig.ear.of(Output))
        assert decode_failure(rig.ear.of(Output)[0].payload).code == "not_found"


def take_over(rig: Rig) -> None:
    """Deploy the next version."""
    old = rig.registry.functions[rig.function.id]
    new = LiveFunction(id=old.id, app=old.app, spec=old.spec, digest="other", version=old.version + 1)
    rig.registry.functions[old.id] = new
    for pool in old.pools.values():
        rig.fleet.close_pool(pool, grace_s=1.0, reason="a new version")


async def test_a_result_that_cannot_be_kept_fails_its_input(tmp_path: Path) -> None:
    async def full(_: Payload) -> Payload:
        raise OSError(28, "No space left on device")

    async with Rig(tmp_path) as rig:
        rig.dispatcher.keep_large = full
        rig.submit("spawn")
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        shared = Payload(b"x", buffers=(Buffer("arena", segment="in.1", size=9),))
        rig.answer(instance, link.of(Execute)[0], payload=shared)
        await until(lambda: rig.ear.of(Output))
        assert "No space left" in decode_failure(rig.ear.of(Output)[0].payload).message


async def test_an_instance_that_gave_everything_back_is_idle(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit()
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        rig.dispatcher.cancel(call)
        rig.dispatcher.returned(instance, Returned([(call, 0, 1)]))
        assert instance.state is InstanceState.IDLE
        assert instance.emptied.is_set()


async def test_a_client_that_comes_back_brings_the_inputs_that_were_lost(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit("map", 2, more=True)
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        rig.answer(instance, link.of(Execute)[0])
        again = Submit(call, rig.function.id, "map", [_input(1), _input(2)], again=True)
        rig.dispatcher.submit(rig.ear, again, workspace="main")
        assert sorted(rig.dispatcher.calls[call].tasks) == [1, 2]
        assert not rig.dispatcher.calls[call].more


async def test_a_generator_that_nobody_hears_is_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "UNHEARD_S", 0.02)
    async with Rig(tmp_path) as rig:
        rig.submit("generator")
        _, link = await rig.instance()
        await until(lambda: link.of(Execute))
        rig.dispatcher.dropped(rig.ear)
        await until(lambda: link.of(CancelInput))


async def test_a_spawn_that_was_refused_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Rig(tmp_path) as rig:

        def full(_ops: object, then: Callable[[Exception | None], None], **_more: object) -> None:
            asyncio.get_running_loop().call_soon(then, ResourceExhaustedError("the disk is full"))

        with monkeypatch.context() as patched:
            patched.setattr(rig.store, "write_then", full)
            call = rig.submit("spawn")
            await until(lambda: rig.ear.of(Refused))
        assert rig.dispatcher.calls[call].done
        await until(lambda: not rig.dispatcher.calls)


async def test_what_an_earlier_server_recorded_counts(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit("map", 2, more=True)
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        rig.answer(instance, link.of(Execute)[0])
        await until(lambda: rig.ear.of(Output))
        del rig.dispatcher.calls[call]  # as after a restart
        known = await rig.reads.call("main", call)
        assert known is not None
        past = await rig.record.replay(rig.ear, call, known, [1])
        assert len(rig.ear.of(Output)) == 1, "an outcome came that nobody asked for"
        again = Submit(call, rig.function.id, "map", [_input(1)], again=True)
        live = rig.dispatcher.submit(rig.ear, again, workspace="main", past=past.outcomes)
        assert live is not None
        assert (live.total, live.succeeded) == (2, 1)


async def test_a_value_that_was_lost_with_its_server_is_made_again(tmp_path: Path) -> None:
    shared = Payload(b"x", buffers=(Buffer("arena", segment="in.1", size=9),))
    async with Rig(tmp_path) as rig:
        call = rig.submit()
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        rig.answer(instance, link.of(Execute)[0], payload=shared)
        await until(lambda: not rig.dispatcher.calls)  # recorded, but the server was killed before it answered
        links = Links(
            dispatcher=rig.dispatcher, fleet=rig.fleet, record=rig.record, clock=rig.clock, token="t", welcome=rig.fleet.welcome
        )  # fmt: skip
        back: Any = Ear()
        back.workspace = "main"
        again = Submit(call, rig.function.id, "remote", [_input(0)], again=True)
        await links._submit_again(back, again)
        await until(lambda: len(link.of(Execute)) == 2)
        rig.answer(instance, link.of(Execute)[1], payload=shared)
        await until(lambda: back.of(Output))
        assert [o.payload for o in back.of(Output)] == [shared]


async def test_a_large_result_that_nobody_hears_is_kept(tmp_path: Path) -> None:
    kept: list[Payload] = []

    async def keep(payload: Payload) -> Payload:
        kept.append(payload)
        return Payload(b"kept")

    async with Rig(tmp_path) as rig:
        rig.dispatcher.keep_large = keep
        rig.submit()
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        rig.dispatcher.dropped(rig.ear)
        shared = Payload(b"x", buffers=(Buffer("arena", segment="in.1", size=9),))
        rig.answer(instance, link.of(Execute)[0], payload=shared)
        await until(lambda: kept)
        assert kept == [shared]


async def test_whoever_asks_for_an_input_that_its_call_outlived_hears_so(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit("spawn", 2)
        await until(lambda: rig.ear.heard)
        row = await rig.reads.call("main", call)
        assert row is not None
        await rig.store.write(writes.put_calls([row._replace(state=CallState.FAILED, error="its app no longer runs")]))
        for index, told in ((1, [1]), (-1, [0, 1])):
            late = Ear()
            await rig.record.subscribe(late, "main", Subscribe(call, index), live=False)
            assert [o.index for o in late.of(Output)] == told
            assert "its app no longer runs" in decode_failure(late.of(Output)[0].payload).message


async def test_nothing_goes_to_an_instance_whose_link_broke(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.submit("map", 2)
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        rig.fleet.link_lost(instance)
        rig.answer(instance, link.of(Execute)[0])
        rig.fleet.tick()
        assert len(link.of(Execute)) == 1


async def test_a_server_that_stood_still_takes_no_lease_for_lost(tmp_path: Path) -> None:
    async with Rig(tmp_path, lease_s=5.0) as rig:
        rig.submit()
        instance, _ = await rig.instance()
        rig.fleet.tick()
        instance.last_beat -= 20.0
        rig.fleet._ticked -= 20.0
        rig.fleet.tick()
        assert instance.state.live


async def test_a_function_that_fails_to_start_for_days_goes_on_to_be_tried(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        pool = rig.fleet.pool(rig.function, b"")
        pool.failed_starts = 5000
        rig.fleet.start(pool, 1)
        [instance] = rig.fleet.instances.values()
        rig.fleet.exited(Exit(instance=instance.id, code=1))
        assert 29.0 < pool.start_after - rig.clock.monotonic() <= 30.0


async def test_an_instance_that_was_given_up_while_it_was_forked_is_killed(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        start = rig.launcher.start

        async def slow(request: StartRequest) -> Started:
            started = await start(request)
            rig.fleet.kill(rig.fleet.instances[request.instance], reason="given up")
            return started

        rig.launcher.start = slow  # type: ignore[method-assign]
        rig.submit()
        await until(lambda: rig.launcher.killed)


async def test_durations_that_cannot_be_do_no_harm(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.submit("map", 5)
        instance, link = await rig.instance()
        pool = instance.pool
        for count, took in enumerate((float("nan"), -3600.0, float("inf"), 1e300), 1):
            await until(lambda count=count: len(link.of(Execute)) >= count)
            execute = link.of(Execute)[count - 1]
            rig.dispatcher.result(instance, Result(execute.call, execute.index, 1, Status.OK, Payload(), 0.0, took))
            assert 0.0 <= pool.mean_s <= pool.spec.timeout_s


async def test_parameters_that_nobody_uses_lose_their_pool(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        pool = rig.fleet.pool(rig.function, b"parameters")
        rig.fleet.tick()
        assert rig.function.pools
        pool.last_used -= 3600.0
        rig.fleet.tick()
        assert not rig.function.pools
        late = rig.submit(parameters=b"parameters")
        assert rig.dispatcher.calls[late].pool is not pool
