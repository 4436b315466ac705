"""What a server finds that the one before left behind."""

from pathlib import Path

from tests.unit.server.harness import Rig, until

from freehold.core.specs import Retries
from freehold.protocol.frames import Execute, Output, Payload, RemoteFailure, Status
from freehold.protocol.payload import encode_failure
from freehold.server.restart import resume_calls

FAILURE = Payload(encode_failure(RemoteFailure("builtins.ValueError", "no", "")))


async def _resume(rig: Rig, function_id: str) -> None:
    rig.function.id = function_id
    rig.registry.functions[function_id] = rig.function
    await resume_calls(
        store=rig.store, registry=rig.registry, fleet=rig.fleet, dispatcher=rig.dispatcher, clock=rig.clock
    )


async def test_attempts_that_failed_before_a_restart_count(tmp_path: Path) -> None:
    retries = Retries(max_retries=2, initial_delay_s=60.0)
    async with Rig(tmp_path, retries=retries) as before:
        call = before.submit("spawn")
        instance, link = await before.instance()
        await until(lambda: link.of(Execute))
        before.answer(instance, link.of(Execute)[0], status=Status.ERROR, payload=FAILURE)
    async with Rig(tmp_path, retries=Retries(max_retries=2, initial_delay_s=0.0)) as rig:
        await _resume(rig, before.function.id)
        rig.dispatcher.watch(rig.dispatcher.calls[call], rig.ear)
        instance, link = await rig.instance()
        for count in (1, 2):
            await until(lambda count=count: len(link.of(Execute)) == count)
            rig.answer(instance, link.of(Execute)[-1], status=Status.ERROR, payload=FAILURE)
        await until(lambda: rig.ear.of(Output))
        assert [e.attempt for e in link.of(Execute)] == [3, 4]
        assert [(a.attempt, a.error) for a in await rig.reads.attempts(call)] == [
            (1, "ValueError: no"), (3, "ValueError: no"),
        ]  # fmt: skip


async def test_an_instance_that_died_before_a_restart_costs_no_retry(tmp_path: Path) -> None:
    async with Rig(tmp_path, retries=Retries(max_retries=1)) as before:
        call = before.submit("spawn")
        instance, link = await before.instance()
        await until(lambda: link.of(Execute))
        before.fleet.kill(instance, reason="killed by signal 9")
        await until(lambda: instance.id not in before.fleet.instances)
    async with Rig(tmp_path, retries=Retries(max_retries=1)) as rig:
        await _resume(rig, before.function.id)
        [task] = rig.dispatcher.calls[call].tasks.values()
        assert (task.attempt, task.failures) == (3, 0)
