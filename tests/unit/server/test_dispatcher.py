"""The life of a call: admitted, run, retried, cancelled, finished once."""

import gc
from pathlib import Path

import pytest
from tests.unit.server.harness import Ear, Rig, until

from freehold.core.specs import Retries
from freehold.core.states import CallState
from freehold.protocol.frames import (
    Accepted,
    Buffer,
    CancelInput,
    Execute,
    Output,
    Payload,
    Refused,
    RemoteFailure,
    Result,
    Returned,
    Status,
    Submit,
    Subscribe,
)
from freehold.protocol.payload import decode_failure, encode_failure
from freehold.server.dispatch.record import KEEP_RESULT_BYTES
from freehold.server.large import LargeResults
from freehold.server.services.blobs import Blobs

FAILURE = Payload(encode_failure(RemoteFailure("builtins.ValueError", "no", "Traceback …")))


async def test_a_call_runs_and_is_answered_after_its_commit(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit()
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        rig.answer(instance, link.of(Execute)[0])
        assert not rig.ear.of(Output), "answered before the commit"
        await until(lambda: rig.ear.of(Output))
        assert rig.ear.of(Output)[0].payload.data == b"result"
        row = await rig.reads.call("main", call)
        assert row is not None
        assert (row.state, row.inputs, row.succeeded) == (CallState.SUCCEEDED, 1, 1)
        assert not rig.dispatcher.calls


async def test_a_call_that_ended_leaves_nothing_to_the_collector(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.submit(count=20)
        instance, link = await rig.instance()
        gc.collect()
        gc.disable()
        try:
            for n in range(20):
                await until(lambda n=n: len(link.of(Execute)) > n)
                rig.answer(instance, link.of(Execute)[n])
            await until(lambda: len(rig.ear.of(Output)) == 20)
            assert gc.collect() < 20, "the ends of inputs are in cycles"
        finally:
            gc.enable()


async def test_an_unknown_function_is_refused(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.dispatcher.submit(rig.ear, Submit("fc-x", "fu-none", "remote", []), workspace="main")
        assert rig.ear.of(Refused)[0].code == "not_found"


async def test_another_workspace_does_not_see_the_function(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.dispatcher.submit(rig.ear, Submit("fc-x", rig.function.id, "remote", []), workspace="other")
        assert rig.ear.of(Refused)[0].code == "not_found"


async def test_spawn_is_accepted_after_its_commit_and_survives_without_its_client(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit("spawn")
        assert not rig.ear.of(Accepted)
        await until(lambda: rig.ear.of(Accepted))
        rig.dispatcher.dropped(rig.ear)
        [left] = await rig.reads.unfinished()
        assert left.call.id == call
        assert left.inputs[0].args


@pytest.mark.parametrize("piece", ["data", "inline buffer", "arena"])
async def test_a_large_result_of_spawn_can_be_asked_for_again(tmp_path: Path, piece: str) -> None:
    big = bytes(KEEP_RESULT_BYTES + 1)
    (tmp_path / "in.1").write_bytes(big)
    payload = {
        "data": Payload(big),
        "inline buffer": Payload(b"x", buffers=(Buffer("inline", data=big, size=len(big)),)),
        "arena": Payload(b"x", buffers=(Buffer("arena", segment="in.1", size=len(big)),)),
    }[piece]
    blobs = Blobs(tmp_path / "blobs")
    blobs.open()
    async with Rig(tmp_path) as rig:
        rig.dispatcher.keep_large = LargeResults(tmp_path, blobs).keep
        call = rig.submit("spawn")
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        rig.answer(instance, link.of(Execute)[0], payload=payload)
        await until(lambda: rig.ear.of(Output))
        later = Ear()
        await rig.record.subscribe(later, "main", Subscribe(call), live=False)
        output = later.of(Output)[0]
        assert output.status == Status.OK
        digest = output.payload.blob or output.payload.buffers[0].segment
        assert blobs.path(digest).read_bytes() == big


async def test_a_failed_attempt_is_retried_and_its_stale_result_is_not_taken(tmp_path: Path) -> None:
    async with Rig(tmp_path, retries=Retries(max_retries=1, initial_delay_s=0.0)) as rig:
        call = rig.submit()
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        first = link.of(Execute)[0]
        rig.answer(instance, first, status=Status.ERROR, payload=FAILURE)
        await until(lambda: len(link.of(Execute)) == 2)
        second = link.of(Execute)[1]
        assert (first.attempt, second.attempt) == (1, 2)
        rig.answer(instance, first, payload=Payload(b"stale"))
        assert rig.dispatcher.stale_results == 1
        rig.answer(instance, second)
        await until(lambda: rig.ear.of(Output))
        assert [o.payload.data for o in rig.ear.of(Output)] == [b"result"]
        assert [a.error for a in await rig.reads.attempts(call)] == ["ValueError: no"]


async def test_retries_end_with_the_last_failure(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.submit()
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        rig.answer(instance, link.of(Execute)[0], status=Status.ERROR, payload=FAILURE)
        await until(lambda: rig.ear.of(Output))
        assert decode_failure(rig.ear.of(Output)[0].payload).type == "builtins.ValueError"


async def test_an_input_whose_instances_die_ends_after_its_last_attempt(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.submit()
        for _ in range(3):
            instance, link = await rig.instance()
            await until(lambda link=link: link.of(Execute))
            rig.fleet.kill(instance, reason="killed by signal 9")
            await until(lambda instance=instance: instance.id not in rig.fleet.instances)
        await until(lambda: rig.ear.of(Output))
        failure = decode_failure(rig.ear.of(Output)[0].payload)
        assert failure.type.endswith("InstanceDiedError")
        assert "attempt 3 was the last" in failure.message


async def test_inputs_behind_the_one_that_killed_the_instance_count_no_crash(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.submit("map", 3)
        instance, _ = await rig.instance()
        instance.pool.mean_s = 0.00001  # so short that several are sent ahead
        instance.pool.pump_soon()
        await until(lambda: len(instance.tasks) >= 2)
        tasks = list(instance.tasks.values())
        rig.fleet.kill(instance, reason="killed")
        await until(lambda: tasks[0].state is CallState.PENDING)
        assert [t.crashes for t in tasks] == [1] + [0] * (len(tasks) - 1)
        assert [t.attempt for t in tasks] == [2] + [1] * (len(tasks) - 1)


async def test_inputs_of_a_dead_instance_are_sent_ahead_to_none(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit("map", 3)
        instance, _ = await rig.instance()
        pool = instance.pool
        pool.mean_s = 0.00001
        pool.pump_soon()
        await until(lambda: len(instance.tasks) == 3)
        rig.fleet.kill(instance, reason="killed")
        await until(lambda: instance.id not in rig.fleet.instances)
        second, link = await rig.instance()
        await until(lambda: link.of(Execute))
        pool.pump()
        assert [e.index for e in link.of(Execute)] == [0]
        rig.answer(second, link.of(Execute)[0], took=0.0)
        await until(lambda: len(link.of(Execute)) == 2)
        assert [t.index for t in second.tasks.values()] == [1]
        assert len(rig.dispatcher.calls[call].tasks) == 2


async def test_returned_inputs_run_elsewhere_with_the_same_attempt(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit("map", 2)
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        rig.dispatcher.returned(instance, Returned([(call, 0, 1)]))
        await until(lambda: len(link.of(Execute)) >= 2)
        assert {e.attempt for e in link.of(Execute)} == {1}


async def test_cancelling_a_waiting_call_ends_it_at_once(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit()
        assert rig.dispatcher.cancel(call)
        await until(lambda: rig.ear.of(Output))
        assert rig.ear.of(Output)[0].status == Status.CANCELLED
        assert not rig.dispatcher.cancel(call)


async def test_cancelling_a_running_input_asks_it_then_records_cancelled_whatever_it_answers(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit()
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        rig.dispatcher.cancel(call)
        assert link.of(CancelInput)
        rig.answer(instance, link.of(Execute)[0])
        await until(lambda: rig.ear.of(Output))
        row = await rig.reads.call("main", call)
        assert row is not None
        assert row.state is CallState.CANCELLED


async def test_a_timed_out_input_takes_its_instance_with_it(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.submit()
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        rig.answer(instance, link.of(Execute)[0], status=Status.TIMEOUT, payload=FAILURE)
        await until(lambda: instance.id in rig.launcher.killed)
        await until(lambda: rig.ear.of(Output))
        assert rig.ear.of(Output)[0].status == Status.TIMEOUT


async def test_an_instance_past_its_lease_can_record_nothing(tmp_path: Path) -> None:
    async with Rig(tmp_path, lease_s=0.05) as rig:
        rig.submit()
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        execute = link.of(Execute)[0]
        instance.last_beat -= 1.0
        rig.fleet.tick()
        now = rig.clock.now()
        rig.dispatcher.result(
            instance, Result(execute.call, execute.index, execute.attempt, 0, Payload(b"stale"), now, now)
        )
        assert rig.dispatcher.stale_results == 1
        second, link2 = await rig.instance()
        await until(lambda: link2.of(Execute))
        assert link2.of(Execute)[0].attempt == 2
        rig.answer(second, link2.of(Execute)[0])
        await until(lambda: rig.ear.of(Output))
        assert [o.payload.data for o in rig.ear.of(Output)] == [b"result"]


async def test_a_map_is_final_when_its_last_input_is(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        call = rig.submit("map", 3)
        instance, link = await rig.instance(slots=3)
        await until(lambda: len(link.of(Execute)) == 3)
        for execute in link.of(Execute):
            assert not any(o.index == execute.index for o in rig.ear.of(Output))
            rig.answer(instance, execute)
        await until(lambda: len(rig.ear.of(Output)) == 3)
        row = await rig.reads.call("main", call)
        assert row is not None
        assert (row.state, row.inputs, row.succeeded, row.failed) == (CallState.SUCCEEDED, 3, 3, 0)


async def test_nothing_is_taken_that_could_not_be_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Rig(tmp_path) as rig:
        with monkeypatch.context() as patched:
            patched.setattr(type(rig.store), "fault", "the disk is full: free some space")
            call = rig.submit("remote")
            await until(lambda: rig.ear.of(Refused))
            assert rig.ear.of(Refused)[0].message == "the disk is full: free some space"
            assert call not in rig.dispatcher.calls
        assert rig.submit("remote") in rig.dispatcher.calls
