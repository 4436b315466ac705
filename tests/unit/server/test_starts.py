"""Starts that fail: tried again while that may help, told to who waits when it does not."""

import asyncio
from pathlib import Path

import pytest
from tests.unit.server.harness import Ear, Rig, until

from freehold.core.errors import ImageBuildError, ResourceExhaustedError, StartError
from freehold.core.specs import Concurrency, Resources, Scaling
from freehold.core.states import InstanceState
from freehold.launchers.contract import Exit, Started, StartRequest
from freehold.protocol.frames import Execute, Output, Ready, RemoteFailure, Result, StartFailed, Status
from freehold.protocol.payload import decode_failure
from freehold.server.dispatch.instance import Instance


def _raised(text: str = "no weights") -> StartFailed:
    return StartFailed("enter", RemoteFailure("builtins.ValueError", text, "Traceback …"))


async def _starting(rig: Rig, count: int) -> list[Instance]:
    def now() -> list[Instance]:
        return [i for i in rig.fleet.instances.values() if i.state is InstanceState.STARTING and i.pid is not None]

    await until(lambda: len(now()) >= count)
    return now()


async def test_an_enter_hook_that_raises_the_same_twice_fails_what_waits_with_its_error(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.submit()
        for _ in range(2):
            assert not rig.ear.of(Output)
            [instance] = await _starting(rig, 1)
            rig.fleet.start_failed(instance, _raised())
        await until(lambda: rig.ear.of(Output))
        failure = decode_failure(rig.ear.of(Output)[0].payload)
        assert (failure.type, failure.message) == ("builtins.ValueError", "no weights")
        assert not rig.function.pools[b""].backlog


async def test_an_enter_hook_that_raises_once_costs_no_call(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.submit()
        [instance] = await _starting(rig, 1)
        rig.fleet.start_failed(instance, _raised())
        second, link = await rig.instance()
        await until(lambda: link.of(Execute))
        rig.answer(second, link.of(Execute)[0])
        await until(lambda: rig.ear.of(Output))
        assert rig.ear.of(Output)[0].status == Status.OK
        assert second.pool.failed_starts == 0


async def test_different_errors_are_tried_three_times(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.submit()
        for n in range(3):
            assert not rig.ear.of(Output)
            [instance] = await _starting(rig, 1)
            rig.fleet.start_failed(instance, _raised(f"timeout {n}"))
        await until(lambda: rig.ear.of(Output))
        assert decode_failure(rig.ear.of(Output)[0].payload).message == "timeout 2"


async def test_a_failed_start_waits_for_its_siblings(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.submit("map", 4)
        instances = await _starting(rig, 4)
        for instance in instances[:3]:
            rig.fleet.start_failed(instance, _raised())
        assert not rig.ear.of(Output)
        link = Ear()
        rig.fleet.joined(instances[3], link, pid=1)
        rig.fleet.ready(instances[3], Ready(1, {}, {}))
        await until(lambda: link.of(Execute))
        assert not rig.ear.of(Output)


async def test_when_all_fail_at_once_the_last_one_ends_the_waiting(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.submit("map", 4)
        for instance in await _starting(rig, 4):
            assert not rig.ear.of(Output)
            rig.fleet.start_failed(instance, _raised())
        await until(lambda: len(rig.ear.of(Output)) == 4)


async def test_no_start_fails_a_call_that_a_sibling_serves(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.submit("map", 2)
        starting = await _starting(rig, 2)
        link = Ear()
        rig.fleet.joined(starting[0], link, pid=1)
        rig.fleet.ready(starting[0], Ready(1, {}, {}))
        await until(lambda: link.of(Execute))
        rig.fleet.start_failed(starting[1], _raised())
        pool = starting[0].pool
        for _ in range(4):
            pool.start_after = 0.0
            pool.pump()
            [again] = await _starting(rig, 1)
            rig.fleet.start_failed(again, _raised())
        assert not rig.ear.of(Output)


async def test_after_a_failed_start_one_is_tried_at_a_time(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.submit("map", 3)
        first, second, third = await _starting(rig, 3)
        pool = first.pool
        rig.fleet.start_failed(first, _raised("a"))
        pool.start_after = 0.0
        pool.pump()
        assert await _starting(rig, 2) == [second, third]
        rig.fleet.start_failed(second, _raised("b"))
        rig.fleet.joined(third, Ear(), pid=1)
        rig.fleet.ready(third, Ready(1, {}, {}))
        await until(lambda: len(pool.live) == 3)


@pytest.mark.parametrize("error", [ImageBuildError("pip failed"), StartError("ModuleNotFoundError: x")])
async def test_what_can_never_start_fails_at_once(tmp_path: Path, error: Exception) -> None:
    async with Rig(tmp_path) as rig:

        async def fail(_: StartRequest) -> Started:
            raise error

        rig.launcher.start = fail  # type: ignore[method-assign]
        rig.submit()
        await until(lambda: rig.ear.of(Output))
        assert rig.function.pools[b""].failed_starts == 1
        assert str(error) in decode_failure(rig.ear.of(Output)[0].payload).message


async def test_a_launcher_short_of_something_is_asked_again(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        start, short = rig.launcher.start, [1]

        async def sometimes(request: StartRequest) -> Started:
            if short:
                short.pop()
                raise ResourceExhaustedError("no process can be made")
            return await start(request)

        rig.launcher.start = sometimes  # type: ignore[method-assign]
        rig.submit()
        _, link = await rig.instance()
        await until(lambda: link.of(Execute))


async def test_instances_that_die_as_they_start_fail_what_waits_the_third_time(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.submit()
        for _ in range(3):
            assert not rig.ear.of(Output)
            [instance] = await _starting(rig, 1)
            rig.fleet.exited(Exit(instance=instance.id, signal=11))
        await until(lambda: rig.ear.of(Output))
        failure = decode_failure(rig.ear.of(Output)[0].payload)
        assert failure.type.endswith("InstanceDiedError")
        assert "signal 11" in failure.message


async def test_web_requests_hear_of_it_too(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        waiting = asyncio.ensure_future(rig.fleet.pool(rig.function, b"").acquire())
        for _ in range(2):
            [instance] = await _starting(rig, 1)
            rig.fleet.start_failed(instance, _raised())
        with pytest.raises(Exception, match=r"app\.f could not start; .*app logs") as refused:
            await waiting
        assert "no weights" not in str(refused.value)  # it goes to whoever calls the endpoint


async def test_what_an_instance_said_last_is_read_before_its_end_counts(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.submit()
        instance, link = await rig.instance()
        await until(lambda: link.of(Execute))
        link.open = True
        rig.fleet.exited(Exit(instance=instance.id, code=0))
        rig.answer(instance, link.of(Execute)[0])
        rig.fleet.link_lost(instance)
        assert instance.id not in rig.fleet.instances
        await until(lambda: rig.ear.of(Output))
        assert rig.ear.of(Output)[0].status == Status.OK
        assert not rig.dispatcher.stale_results


async def test_a_link_that_a_child_keeps_open_holds_up_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freehold.server.dispatch.fleet.UNREAD_S", 0.01)
    async with Rig(tmp_path) as rig:
        rig.submit()
        instance, link = await rig.instance()
        link.open = True
        rig.fleet.exited(Exit(instance=instance.id, signal=9))
        await until(lambda: instance.id not in rig.fleet.instances)


async def test_the_startup_timeout_counts_from_when_the_image_is_there(tmp_path: Path) -> None:
    async with Rig(tmp_path, startup_timeout_s=20.0) as rig:
        rig.submit()
        [instance] = await _starting(rig, 1)
        instance.started_at -= 400.0
        instance.phases |= {"image": 400.0, "prepare": 0.01}
        rig.fleet.tick()
        assert instance.state is InstanceState.STARTING
        assert instance.prepared_at is not None
        instance.prepared_at -= 21.0
        rig.fleet.tick()
        await until(lambda: rig.ear.of(Output))
        assert "startup_timeout=20 s" in decode_failure(rig.ear.of(Output)[0].payload).message


async def test_a_short_timeout_is_of_inputs_and_not_of_starts(tmp_path: Path) -> None:
    async with Rig(tmp_path, timeout_s=1.0) as rig:
        rig.submit()
        [instance] = await _starting(rig, 1)
        await until(lambda: instance.prepared_at is not None)
        assert instance.prepared_at is not None
        instance.prepared_at -= 20.0
        rig.fleet.tick()
        assert instance.state is InstanceState.STARTING
        instance.prepared_at -= 11.0
        rig.fleet.tick()
        await until(lambda: rig.ear.of(Output))
        assert "startup_timeout=30 s" in decode_failure(rig.ear.of(Output)[0].payload).message


async def test_an_instance_whose_image_is_still_built_ends_at_once(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        built = asyncio.Event()
        prepare = rig.fleet.preparer.prepare

        async def slow(instance: Instance) -> StartRequest:
            await built.wait()
            return await prepare(instance)

        rig.fleet.preparer.prepare = slow  # type: ignore[method-assign]
        call = rig.submit()
        await until(lambda: rig.fleet.instances)
        [instance] = rig.fleet.instances.values()
        rig.dispatcher.cancel(call)
        rig.fleet.stop(instance, grace_s=1.0, reason="the app was stopped")
        assert not rig.fleet.instances
        await rig.fleet.wait_ended(instance.id)
        built.set()
        await asyncio.sleep(0.01)
        assert not rig.launcher.started


async def test_a_start_that_was_stopped_fails_nobody(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        begun, stopped, start = asyncio.Event(), asyncio.Event(), rig.launcher.start

        async def stopped_meanwhile(request: StartRequest) -> Started:
            if begun.is_set():
                return await start(request)
            begun.set()
            await stopped.wait()
            raise StartError("stopped while it started")

        rig.launcher.start = stopped_meanwhile  # type: ignore[method-assign]
        rig.submit()
        await begun.wait()
        [instance] = rig.fleet.instances.values()
        rig.fleet.stop(instance, grace_s=1.0, reason="stopped by its user")
        stopped.set()
        await until(lambda: instance.id not in rig.fleet.instances)
        assert not rig.ear.of(Output)
        assert instance.pool.failed_starts == 0


async def test_inputs_beside_one_that_was_killed_on_purpose_are_not_to_blame(tmp_path: Path) -> None:
    async with Rig(tmp_path, concurrency=Concurrency(max_inputs=2)) as rig:
        innocent = rig.submit()
        for _ in range(4):
            guilty = rig.submit()
            instance, link = await rig.instance(slots=2)
            await until(lambda link=link: len(link.of(Execute)) == 2)
            rig.dispatcher.cancel(guilty, terminate=True)
            await until(lambda instance=instance: instance.id not in rig.fleet.instances)
        [task] = rig.dispatcher.calls[innocent].tasks.values()
        assert (task.crashes, task.attempt) == (0, 5)


async def test_single_use_instances_keep_to_the_maximum(tmp_path: Path) -> None:
    async with Rig(tmp_path, single_use=True, scaling=Scaling(max_instances=2)) as rig:
        rig.submit("map", 6)
        for _ in range(2):
            _, link = await rig.instance()
            await until(lambda link=link: link.of(Execute))
        rig.fleet.tick()
        assert len(rig.fleet.instances) == 2
        instance = next(iter(rig.fleet.instances.values()))
        now = rig.clock.now()
        [task] = instance.tasks.values()
        rig.dispatcher.result(instance, Result(*task.key, task.attempt, Status.OK, task.payload, now, now))
        await until(lambda: instance.id not in rig.fleet.instances)
        await _starting(rig, 1)


async def test_what_this_machine_can_never_run_fails_at_once(tmp_path: Path) -> None:
    async with Rig(tmp_path, resources=Resources(gpu=("h100",))) as rig:
        for kind in ("remote", "spawn", "map"):
            rig.submit(kind, 1)
        await until(lambda: len(rig.ear.of(Output)) == 3)
        for output in rig.ear.of(Output):
            failure = decode_failure(output.payload)
            assert failure.type.endswith("ResourceExhaustedError")
            assert failure.message.startswith("function 'f': gpu='h100': this machine has no GPU")
        assert not rig.fleet.instances


async def test_a_kept_instance_that_never_starts_is_tried_ever_more_rarely(tmp_path: Path) -> None:
    async with Rig(tmp_path, scaling=Scaling(min_instances=1)) as rig:
        pool = rig.fleet.pool(rig.function, b"")
        pauses: list[float] = []
        for _ in range(8):
            pool.start_unasked_after = 0.0
            pool.scale()
            [instance] = await _starting(rig, 1)
            rig.fleet.start_failed(instance, _raised())
            pauses.append(round(pool.start_unasked_after - rig.clock.monotonic()))
            pool.scale()
            assert not pool.live
        assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
        assert rig.logs.notes[:3] == [
            "function 'f' could not start; next try in 1 s",
            "function 'f' could not start (2 times in a row); next try in 2 s",
            "function 'f' could not start (3 times in a row); next try in 4 s",
        ]
        pool.start_after = 0.0  # the shorter pause is over
        rig.submit()
        [instance] = await _starting(rig, 1)
        rig.fleet.exited(Exit(instance=instance.id, signal=11))
        assert rig.logs.notes[-1] == "function 'f' could not start (9 times in a row); next try in 60 s"
