"""Inputs of every kind, through a real launcher, a real warm parent and a real fork."""

import asyncio
import json
import time
from collections.abc import Callable

import pytest

from freehold.core.errors import StartError
from freehold.core.specs import Batching, Concurrency, FunctionSpec, Method, Parameter
from freehold.protocol.frames import Format, Payload, Recall, Status
from freehold.protocol.payload import decode_failure

from .conftest import PROGRAMS
from .fake import FakeServer, value_of

Spec = Callable[..., FunctionSpec]
EVERY_LEVEL = pytest.mark.parametrize("level", ["pids", "mounts", "none"], indirect=True)


@EVERY_LEVEL
async def test_function_runs_in_its_own_surroundings(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("where"), PROGRAMS)
    seen = await instance.value(call="fc-7", index=4)
    assert seen["call"] == "fc-7"
    assert seen["input"] == "fc-7:4"
    assert seen["local"] is False
    assert seen["main_thread"] is True
    assert seen["cwd"] == seen["home"]
    assert seen["file"] == seen["cwd"] + "/work.py"
    if server.launcher.guards()["bubblewrap"] == "ok":
        assert seen["cwd"] == "/root"


async def test_values_go_both_ways(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("echo"), PROGRAMS)
    assert await instance.value(3, y={"a": [1]}) == (3, {"a": [1]})
    many = await asyncio.gather(*(instance.value(n, index=n) for n in range(500)))
    assert many == [(n, 1) for n in range(500)]


async def test_a_forked_child_ends_where_the_function_ends(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("forks"), PROGRAMS)
    assert [await instance.value(ending) for ending in ("return", "raise", "exit")] == [0, 1, 3]


async def test_pools_of_forked_processes_end(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("pools"), PROGRAMS)
    assert await instance.value([-1, -2]) == [1, 2]


async def test_json_in_json_out(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("echo"), PROGRAMS)
    body = Payload(data=json.dumps({"args": [1], "kwargs": {"y": "z"}}).encode(), format=Format.JSON)
    result = await instance.call(payload=body)
    assert result.payload.format == Format.JSON
    assert value_of(result.payload) == [1, "z"]


async def test_async_functions_share_a_loop(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("aecho", concurrency=Concurrency(max_inputs=50)), PROGRAMS)
    begun = time.monotonic()
    assert await asyncio.gather(*(instance.value(n, index=n) for n in range(50))) == list(range(50))
    assert time.monotonic() - begun < 1


async def test_concurrent_sync_functions_run_in_threads(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("sleep", concurrency=Concurrency(max_inputs=5)), PROGRAMS)
    begun = time.monotonic()
    idents = await asyncio.gather(*(instance.value(0.2, index=n) for n in range(5)))
    assert len(set(idents)) == 5
    assert time.monotonic() - begun < 0.6


@pytest.mark.parametrize("name", ["generate", "agenerate"])
async def test_generators_send_items_in_order(server: FakeServer, spec: Spec, name: str) -> None:
    instance = await server.start(spec(name, is_generator=True), PROGRAMS)
    result = await instance.call(300, generator=True)
    assert result.status == Status.GENERATOR_DONE
    assert [(i.sequence, value_of(i.payload)) for i in instance.items] == [(n, n) for n in range(300)]


async def test_wrong_uses_of_generators_say_so(server: FakeServer, spec: Spec) -> None:
    sneaky = await server.start(spec("sneaky"), PROGRAMS)
    assert "is_generator=True" in (await sneaky.failure()).message
    echo = await server.start(spec("echo"), PROGRAMS)
    assert "called as a generator" in (await echo.failure(1, generator=True)).message


async def test_exceptions_cross_with_the_users_frames_only(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("fails"), PROGRAMS)
    failure = await instance.failure()
    assert (failure.type, failure.message) == ("builtins.ValueError", "no value")
    assert "work.py" in failure.traceback
    assert "freehold" not in failure.traceback
    assert (await instance.failure("exit")).type == "builtins.SystemExit"
    lock = await instance.failure("unpicklable")
    assert lock.type == "freehold.exception.SerializationError"
    assert "'lock'" in lock.message


async def test_batches_gather_what_has_come(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("batch", batching=Batching(max_batch_size=4, wait_ms=100)), PROGRAMS)
    assert (await asyncio.wait_for(instance.ready, 1)).slots == 4
    results = await asyncio.gather(*(instance.value(n, 10, index=n) for n in range(8)))
    assert [r[0] for r in results] == [n + 10 for n in range(8)]
    assert {r[1] for r in results} == {4}
    assert await instance.value(1, 2) == (3, 1)


async def test_cls_with_hooks_and_parameters(server: FakeServer, spec: Spec) -> None:
    import msgspec

    methods = tuple(Method(name=n) for n in ("add", "on_loop", "given"))
    parameters = (Parameter(name="name", type="str"), Parameter(name="size", type="int", default=3, required=False))
    cls = spec("Counter", "service", kind="cls", methods=methods, snapshot=True, parameters=parameters)
    instance = await server.start(cls, PROGRAMS, parameters=msgspec.msgpack.encode([["name", "large"]]))
    assert await instance.value(2, method="add") == 2
    assert await instance.value(3, method="add") == 5
    assert await instance.value(method="on_loop") == (True, True)
    assert await instance.value(method="given") == ("large", 3)
    assert "no method" in (await instance.failure(method="missing")).message
    instance.drain()
    assert (await asyncio.wait_for(instance.exit, 5)).code == 0
    assert any("exit hook ran with 5" in str(r) for r in instance.records())


async def test_failing_enter_hook_fails_the_start(server: FakeServer, spec: Spec) -> None:
    instance = await server.launch(spec("Broken", "service", kind="cls", methods=(Method(name="go"),)), PROGRAMS)
    with pytest.raises(RuntimeError, match="no weights here"):
        await asyncio.wait_for(instance.ready, 10)
    assert server.start_failures[0].phase == "enter"
    assert (await asyncio.wait_for(instance.exit, 5)).code == 1


@pytest.mark.parametrize(("module", "qualname", "message"), [
    ("syntax", "f", "SyntaxError"), ("missing", "f", "No module named 'missing'"), ("work", "nothing", "has no 'nothing'"),
])  # fmt: skip
async def test_code_that_cannot_be_loaded(
    server: FakeServer, spec: Spec, module: str, qualname: str, message: str
) -> None:
    with pytest.raises(StartError, match=message):
        await server.launch(spec(qualname, module), PROGRAMS)


async def test_threads_in_the_parent_mean_fresh_starts(server: FakeServer, spec: Spec) -> None:
    cls = spec("Threaded", "service", kind="cls", methods=(Method(name="pid"),), snapshot=True)
    first, second, third = await asyncio.gather(*(server.start(cls, PROGRAMS) for _ in range(3)))
    assert len({first.pid, second.pid, third.pid}) == 3
    assert await first.value(method="pid") > 0
    assert any(
        r[0] == "e" and r[2] == "warning" and "poller" in r[5] for i in (first, second, third) for r in i.records()
    )
    await server.launcher.kill(first.id)
    assert (await asyncio.wait_for(first.exit, 5)).signal == 9
    second.drain()
    assert (await asyncio.wait_for(second.exit, 5)).code == 0
    assert await third.value(method="pid") > 0


async def test_recall_gives_back_what_is_not_begun(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("sleep"), PROGRAMS)
    first = instance.execute(0.3)
    for n in range(1, 4):
        instance.execute(0.3, index=n)
    await asyncio.sleep(0.1)
    instance.send(Recall())
    await asyncio.wait_for(first, 5)
    assert instance.returned == [("fc-1", n, 1) for n in (1, 2, 3)]


async def test_drain_finishes_what_runs(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("sleep"), PROGRAMS)
    first, _ = instance.execute(0.3), instance.execute(0.3, index=1)
    await asyncio.sleep(0.1)
    await server.launcher.stop(instance.id, grace_s=5)
    assert first.result().status == Status.OK
    assert instance.returned == [("fc-1", 1, 1)]
    assert (await instance.exit).code == 0


async def test_cancel_reaches_sync_code(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("sleep"), PROGRAMS)
    running, waiting = instance.execute(30), instance.execute(30, index=1)
    await asyncio.sleep(0.1)
    instance.cancel(index=1)
    assert (await asyncio.wait_for(waiting, 2)).status == Status.CANCELLED
    instance.cancel()
    assert (await asyncio.wait_for(running, 2)).status == Status.CANCELLED
    assert await instance.value(0.0, index=2) > 0


async def test_cancel_reaches_async_code(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("slow", concurrency=Concurrency(max_inputs=2)), PROGRAMS)
    first, second = instance.execute(30), instance.execute(0.3, index=1)
    await asyncio.sleep(0.1)
    instance.cancel()
    assert (await asyncio.wait_for(first, 2)).status == Status.CANCELLED
    assert (await asyncio.wait_for(second, 2)).status == Status.OK
    assert any("was cancelled" in str(r) for r in instance.records())


async def test_timeout_of_async_code_ends_the_task_only(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("slow", concurrency=Concurrency(max_inputs=2)), PROGRAMS)
    first, second = instance.execute(30, timeout_s=0.2), instance.execute(0.4, index=1)
    assert (await asyncio.wait_for(first, 2)).status == Status.TIMEOUT
    assert (await asyncio.wait_for(second, 2)).status == Status.OK


async def test_exceptions_of_startup_are_failures_with_a_type(server: FakeServer, spec: Spec) -> None:
    with pytest.raises(StartError) as caught:
        await server.launch(spec("f", "syntax"), PROGRAMS)
    assert caught.value.failure.type == "builtins.SyntaxError"  # type: ignore[attr-defined]


async def test_unreadable_arguments_fail_that_input(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("echo"), PROGRAMS)
    result = await instance.call(payload=Payload(data=b"no pickle"))
    assert decode_failure(result.payload).type == "freehold.exception.DeserializationError"
