"""What every store must do: atomic units, results recorded once, reads that see what was acknowledged."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from freehold.core import errors
from freehold.core.ids import new_id
from freehold.core.states import AppState, CallState, InstanceState
from freehold.server.store import rows as r
from freehold.server.store import writes as w
from freehold.server.store.contract import Store, Transaction, Write
from freehold.server.store.prune import forget_calls
from freehold.server.store.reads import Reads

P, R, S, F = CallState.PENDING, CallState.RUNNING, CallState.SUCCEEDED, CallState.FAILED


def a_call(call_id: str = "", state: CallState = P, **fields: Any) -> r.CallRow:
    row = r.CallRow(call_id or new_id("fc"), "main", "ap-1", "shop", "fu-1", "price", "spawn", state, 1.0)
    return row._replace(**fields)


def an_input(call_id: str, idx: int = 0, state: CallState = P, attempt: int = 0, **fields: Any) -> r.InputRow:
    return r.InputRow(call_id, idx, state, attempt, "", 1.0)._replace(**fields)


# ---- units


async def test_a_unit_is_there_when_write_returns(store: Store, reads: Reads) -> None:
    call = a_call(parameters=b"\x90", more=True, parent="fc-0", key="k")
    await store.write(w.put_calls([call]), w.put_inputs([an_input(call.id, args=b"hello", args_bytes=5)]))
    assert await reads.call("main", call.id) == call
    assert await reads.input(call.id, 0) == an_input(call.id, args=b"hello", args_bytes=5)
    assert await reads.call("other", call.id) is None


async def test_a_failing_unit_leaves_nothing_and_its_neighbours_commit(store: Store, reads: Reads) -> None:
    good = [a_call() for _ in range(20)]
    bad = a_call(key="taken")
    await store.write(w.put_calls([a_call(key="taken")]))
    outcomes = await asyncio.gather(
        *[store.write(w.put_calls([c]), w.put_inputs([an_input(c.id)])) for c in good[:10]],
        store.write(w.put_inputs([an_input(bad.id)]), w.put_calls([bad])),
        *[store.write(w.put_calls([c]), w.put_inputs([an_input(c.id)])) for c in good[10:]],
        return_exceptions=True,
    )
    assert [type(o) for o in outcomes if o is not None] == [errors.AlreadyExistsError]
    assert outcomes.index(next(o for o in outcomes if o)) == 10
    assert all([await reads.input(c.id, 0) for c in good])
    assert await reads.input(bad.id, 0) is None


async def test_a_unit_that_makes_no_sense_is_refused_alone(store: Store, reads: Reads) -> None:
    outcomes = await asyncio.gather(
        store.write(Write("put_workspaces", [("other", 1.0)])),
        store.write(Write("put_workspaces", [("too", "many", "values")])),
        store.write(Write("no_such_statement", [(1,)])),
        return_exceptions=True,
    )
    assert [type(o) for o in outcomes] == [type(None), errors.InternalError, errors.InternalError]
    assert [w.name for w in await reads.workspaces()] == ["main", "other"]


async def test_callbacks_run_on_the_loop_in_order(store: Store) -> None:
    ran: list[int] = []
    last = asyncio.get_running_loop().create_future()

    def done(i: int) -> Callable[[Exception | None], None]:
        def note(error: Exception | None) -> None:
            assert error is None
            ran.append(i)
            if i == 2999:
                last.set_result(None)

        return note

    for i in range(3000):
        store.write_then([w.put_calls([a_call()])], done(i))
        if i % 100 == 0:
            await asyncio.sleep(0)
    await last
    assert ran == list(range(3000))


async def test_a_callback_that_raises_harms_no_other(store: Store) -> None:
    heard: list[Exception | None] = []

    def broken(error: Exception | None) -> None:
        heard.append(error)
        msg = f"mine: {error}"
        raise RuntimeError(msg)

    store.write_then([w.put_calls([a_call()])], broken)
    await store.write(w.put_calls([a_call()]))
    store.write_then([w.put_calls([a_call()])], broken, alone=lambda: broken(None))
    await store.write(w.put_calls([a_call()]))
    assert len(heard) >= 2
    assert set(heard) == {None}


async def test_writes_of_one_table_keep_their_order(store: Store, reads: Reads) -> None:
    app = r.AppRow("ap-1", "main", "shop", AppState.DEPLOYED, 1, 1.0)
    done = [store.write(w.put_apps([app]))]
    for version in range(2, 40):
        done.append(store.write(w.set_app_version("ap-1", version)))
        done.append(store.write(w.put_workspaces([r.WorkspaceRow(f"w{version}", 1.0)])))
    await asyncio.gather(*done)
    assert (await reads.apps("main"))[0].version == 39


async def test_what_was_written_is_there_after_reopening(make_store: Callable[[], Store]) -> None:
    store = make_store()
    await store.open()
    calls = [a_call() for _ in range(1000)]
    pending = [store.write(w.put_calls([c])) for c in calls]
    await asyncio.gather(*pending)
    await store.close()
    again = make_store()
    await again.open()
    assert len(await Reads(again).calls("main", r.CallFilter(limit=5000))) == 1000
    await again.close()


async def test_who_is_alone_in_a_group_hears_of_its_commit_first(make_store: Callable[[], Store]) -> None:
    store = make_store()
    await store.open()
    heard: list[str] = []
    ended = asyncio.Event()
    a_lone_call = a_call()
    store.write_then([w.put_calls([a_lone_call])], lambda _: ended.set(), alone=lambda: heard.append("alone"))
    await ended.wait()
    assert heard in ([], ["alone"])  # a store need not
    assert await Reads(store).call("main", a_lone_call.id) is not None
    many = [a_call() for _ in range(500)]
    told: list[Exception | None] = []
    for call in many:
        store.write_then([w.put_calls([call])], told.append, alone=lambda: heard.append("of many"))
    await store.write(w.put_calls([a_call()]))
    assert told == [None] * 500
    assert heard.count("of many") < 100
    await store.close()


async def test_close_commits_what_was_given_before(make_store: Callable[[], Store]) -> None:
    store = make_store()
    await store.open()
    told: list[Exception | None] = []
    for _ in range(500):
        store.write_then([w.put_calls([a_call()])], told.append)
    await store.close()
    assert told == [None] * 500
    with pytest.raises(errors.ConflictError, match="closed"):
        await store.write(w.put_calls([a_call()]))
    with pytest.raises(errors.ConflictError, match="closed"):
        await Reads(store).calls("main")


# ---- results are recorded once


async def test_a_result_is_recorded_once(store: Store, reads: Reads) -> None:
    call = a_call()
    first = an_input(call.id, state=S, attempt=1, result=b"first", ended=2.0, instance="in-1")
    await store.write(w.put_calls([call]), w.put_inputs([an_input(call.id, args=b"args")]))
    await asyncio.gather(
        store.write(w.put_inputs([first])),
        store.write(w.put_inputs([first._replace(result=b"again", instance="in-2")])),
        store.write(w.put_inputs([first._replace(state=F, attempt=2, result=b"late")])),
    )
    assert await reads.input(call.id, 0) == first._replace(args=b"args")


async def test_an_older_attempt_cannot_write(store: Store, reads: Reads) -> None:
    call_id = new_id("fc")
    await store.write(w.put_inputs([an_input(call_id, state=R, attempt=3, instance="in-3")]))
    await store.write(w.put_inputs([an_input(call_id, state=S, attempt=2, result=b"stale")]))
    stored = await reads.input(call_id, 0)
    assert stored == an_input(call_id, state=R, attempt=3, instance="in-3")
    await store.write(w.put_inputs([an_input(call_id, state=S, attempt=3, result=b"fresh")]))
    stored = await reads.input(call_id, 0)
    assert stored is not None
    assert (stored.state, stored.result) == (S, b"fresh")


async def test_a_final_call_stays_as_it_is(store: Store, reads: Reads) -> None:
    call = a_call(state=S, succeeded=1, ended=5.0)
    await store.write(w.put_calls([call]))
    await store.write(w.put_calls([call._replace(state=CallState.CANCELLED, failed=1, succeeded=0)]))
    assert await reads.call("main", call.id) == call


async def test_inputs_sent_again_change_nothing(store: Store, reads: Reads) -> None:
    call_id = new_id("fc")
    done = an_input(call_id, state=S, attempt=1, result=b"done", args=b"a")
    await store.write(w.put_inputs([done]))
    await store.write(w.insert_inputs([an_input(call_id, args=b"a"), an_input(call_id, 1, args=b"b")]))
    assert await reads.input(call_id, 0) == done
    assert await reads.input(call_id, 1) == an_input(call_id, 1, args=b"b")


async def test_an_idempotency_key_is_unique_in_its_function(store: Store, reads: Reads) -> None:
    call = a_call(key="order-17")
    await store.write(w.put_calls([call]))
    with pytest.raises(errors.AlreadyExistsError):
        await store.write(w.put_calls([a_call(key="order-17")]))
    await store.write(w.put_calls([a_call(key="order-17", function_id="fu-2"), a_call(), a_call()]))
    await store.write(w.put_calls([call._replace(state=S)]))
    assert await reads.call_by_key("main", "fu-1", "order-17") == call._replace(state=S)


async def test_an_offline_instance_stays_offline(store: Store, reads: Reads) -> None:
    live = r.InstanceRow(
        "in-1",
        "main",
        "ap-1",
        "shop",
        "fu-1",
        "price",
        3,
        InstanceState.IDLE,
        1.0,
        devices=("A10G:0",),
        phases={"fork": 0.01},
    )
    await store.write(w.put_instances([live, live._replace(id="in-2", app="other")]))
    assert await reads.instance("main", "in-1") == live
    await store.write(w.end_instances(9.0, "the server stopped"))
    await store.write(w.put_instances([live]))
    gone = live._replace(state=InstanceState.OFFLINE, ended=9.0, reason="the server stopped")
    assert await reads.instance("main", "in-1") == gone
    assert await reads.instances("main", r.InstanceFilter(live_only=True)) == []
    assert [i.id for i in await reads.instances("main", r.InstanceFilter(app="shop"))] == ["in-1"]


# ---- reads


async def test_calls_are_listed_newest_first_by_filter_and_page(store: Store, reads: Reads) -> None:
    states = [S, F, P, CallState.CANCELLED, R]
    calls = [
        a_call(
            f"fc-{i:03}",
            states[i % 5],
            app=f"app{i % 3}",
            function=["Ocr.predict", "Ocr", "Ocrx"][i % 3],
            created=float(i),
        )
        for i in range(60)
    ]
    await store.write(w.put_calls(calls))
    newest = list(reversed(calls))

    async def listed(**which: Any) -> list[str]:
        return [c.id for c in await reads.calls("main", r.CallFilter(**which))]

    def expected(keep: Callable[[r.CallRow], bool]) -> list[str]:
        return [c.id for c in newest if keep(c)]

    assert await listed() == expected(lambda _: True)
    assert await listed(app="app1") == expected(lambda c: c.app == "app1")
    assert await listed(function="") == []
    assert await listed(function="Ocr") == expected(lambda c: c.function != "Ocrx")
    assert await listed(function="Ocr.predict", app="app0") == expected(lambda c: c.app == "app0")
    for state in CallState:
        assert await listed(state=state) == expected(lambda c, s=state: c.state == s)
    assert await listed(since=50.0, kind="spawn") == expected(lambda c: c.created >= 50)
    assert (
        await listed(limit=7, before="fc-030", app="app0")
        == expected(lambda c: c.app == "app0" and c.id < "fc-030")[:7]
    )
    assert await listed(kind="map") == await listed(parent="fc-1") == await listed(app="no") == []
    assert await reads.calls("other") == []


async def test_calls_of_an_app_by_its_id(store: Store, reads: Reads) -> None:
    old, new = new_id("ap"), new_id("ap")
    apps = [r.AppRow(a, "main", "shop", AppState.STOPPED, 1, 1.0) for a in (old, new)]
    calls = [a_call(app_id=old), a_call(app_id=new)]
    await store.write(w.put_apps(apps), w.put_calls(calls))
    assert await reads.calls("main", r.CallFilter(app=old)) == [calls[0]]
    assert await reads.calls("main", r.CallFilter(app=new_id("ap"))) == []


async def test_a_restart_finds_what_is_unfinished(store: Store, reads: Reads) -> None:
    done, half, extending = a_call("fc-1", S), a_call("fc-2", R, inputs=3), a_call("fc-3", more=True, inputs=0)
    await store.write(
        w.put_calls([done, half, extending]),
        w.put_inputs(
            [
                an_input(done.id, state=S),
                an_input(half.id, 0, S),
                an_input(half.id, 1, R, 2, args=b"x"),
                an_input(half.id, 2),
                an_input(half.id, 3, F),
            ]
        ),
    )
    assert await reads.unfinished() == [
        r.UnfinishedCall(
            half._replace(inputs=4, succeeded=1, failed=1),
            (an_input(half.id, 1, R, 2, args=b"x"), an_input(half.id, 2)),
        ),
        r.UnfinishedCall(extending, ()),
    ]


async def test_inputs_outcomes_and_attempts_of_a_call(store: Store, reads: Reads) -> None:
    call_id = new_id("fc")
    inputs = [an_input(call_id, i, S if i % 2 else P, args=b"a", result=b"r" if i % 2 else None) for i in range(10)]
    attempts = [r.AttemptRow(call_id, 1, n, F, "in-1", 1.0, 2.0, "ValueError: no") for n in (1, 2)]
    await store.write(w.put_inputs(inputs), w.insert_attempts(attempts), w.insert_attempts(attempts))
    assert await reads.inputs(call_id) == [i._replace(args=None, result=None) for i in inputs]
    assert await reads.inputs(call_id, after=6, limit=2) == [i._replace(args=None, result=None) for i in inputs[7:9]]
    assert await reads.outcomes(call_id) == [i._replace(args=None) for i in inputs if i.result]
    assert await reads.attempts(call_id) == attempts


async def test_apps_versions_functions_and_endpoints(store: Store, reads: Reads) -> None:
    app = r.AppRow("ap-1", "main", "shop", AppState.DEPLOYED, 1, 1.0, description="shop.py", tags={"team": "a"})
    version = r.AppVersionRow("ap-1", 1, 1.0, "v1", "freehold 1", {"price": "fu-1"}, b"{}")
    function = r.FunctionRow(
        "fu-1", "main", "ap-1", "shop", "price", "function", "d" * 64, "i" * 64, 1, 1.0, spec=b"{}"
    )
    endpoint = r.EndpointRow("main", "shop-price", "ap-1", "shop", "price", "", 8801, 1.0)
    await store.write(
        w.put_apps([app]), w.put_app_versions([version]), w.put_functions([function]), w.put_endpoints([endpoint])
    )
    assert await reads.app("main", "shop") == await reads.app("main", "ap-1") == app
    assert await reads.app_versions("ap-1") == [version] == [await reads.app_version("ap-1", 1)]
    assert await reads.functions("main") == await reads.functions("main", "ap-1") == [function]
    assert await reads.function("main", "fu-1") == function
    assert await reads.endpoints() == [endpoint]
    with pytest.raises(errors.AlreadyExistsError):
        await store.write(w.put_apps([app._replace(id="ap-2")]))
    await store.write(w.set_app_state("ap-1", AppState.STOPPED, 4.0), w.put_apps([app._replace(id="ap-2")]))
    assert await reads.app("main", "shop") == app._replace(id="ap-2")
    assert [a.id for a in await reads.live_apps()] == ["ap-2"]
    await store.write(w.delete_endpoint("main", "shop-price"), w.put_functions([function._replace(ended=3.0)]))
    assert await reads.endpoints() == await reads.functions("main") == []


async def test_events_images_volumes(store: Store, reads: Reads) -> None:
    events = [r.EventRow(f"ev-{i}", "main", float(i), "call", f"fc-{i % 2}", {"n": i}) for i in range(5)]
    image = r.ImageRow("d" * 64, "building", 1.0, spec=b"{}")
    volume = r.VolumeRow("vo-1", "main", "models", 1.0)
    await store.write(w.insert_events(events), w.put_images([image]), w.put_volumes([volume]))
    assert await reads.events("main") == events[::-1]
    assert await reads.events("main", r.EventFilter(subject="fc-1", limit=1)) == [events[3]]
    await store.write(w.fail_unfinished_images("the server stopped"))
    assert (
        await reads.images()
        == [image._replace(state="failed", error="the server stopped")]
        == [await reads.image("d" * 64)]
    )
    assert await reads.volumes("main") == [volume] == [await reads.volume("main", "models")]
    with pytest.raises(errors.AlreadyExistsError):
        await store.write(w.put_volumes([volume._replace(id="vo-2")]))
    await store.write(w.delete_volume("main", "models"), w.prune_events("ev-3"))
    assert await reads.volumes("main") == []
    assert [e.id for e in await reads.events("main")] == ["ev-4", "ev-3"]


async def test_pruning_forgets_old_final_calls_only(store: Store, reads: Reads) -> None:
    calls = [a_call(f"fc-{i}", S if i % 2 else R) for i in range(6)]
    await store.write(
        w.put_calls(calls),
        w.put_inputs([an_input(c.id) for c in calls]),
        w.insert_attempts([r.AttemptRow("fc-1", 0, 1, F)]),
    )
    await store.write(*w.prune_calls("fc-4"))
    assert [c.id for c in await reads.calls("main")] == ["fc-5", "fc-4", "fc-2", "fc-0"]
    assert await reads.inputs("fc-1") == await reads.attempts("fc-1") == []
    assert len(await reads.inputs("fc-2")) == 1


@pytest.mark.parametrize("step", [1, 3, 100])
async def test_old_calls_are_forgotten_in_steps(store: Store, reads: Reads, step: int) -> None:
    calls = [a_call(f"fc-{i:02}", R if i in (0, 1, 7) else S) for i in range(20)]
    await store.write(w.put_calls(calls))
    await forget_calls(store, "fc-15", step=step)
    assert [c.id for c in await reads.calls("main")][::-1] == [c.id for c in calls if c.state == R or c.id >= "fc-15"]


async def test_the_hot_path_costs_little(store: Store) -> None:
    count, left = 5000, asyncio.Event()
    remaining = count

    def done(error: Exception | None) -> None:
        nonlocal remaining
        assert error is None
        remaining -= 1
        if not remaining:
            left.set()

    begun = time.process_time()
    for i in range(count):
        call = a_call(state=S)
        store.write_then(
            [w.put_calls([call]), w.put_inputs([an_input(call.id, state=S, args=b"x" * 150, result=b"y" * 60)])], done
        )
        if i % 64 == 0:
            await asyncio.sleep(0)
    await left.wait()
    assert (time.process_time() - begun) / count < 0.0002  # 25 µs on an idle core


# ---- transactions


def counted(tx: Transaction, step: int = 1) -> int:
    """Count up the items of a partition, from what is stored."""
    found = tx.read("queue_partition", {"queue_id": "qu-1", "part": b"p"})
    count = (found[0][2] if found else 0) + step
    tx.write(w.put_queue_partition(r.QueuePartitionRow("qu-1", b"p", count, 0, 9.0)))
    return count


async def test_transactions_see_what_was_written_before_them_each_once(store: Store) -> None:
    counts = await asyncio.gather(*[store.transact(counted) for _ in range(200)])
    assert sorted(counts) == list(range(1, 201))
    rows = await store.read("queue_partition", {"queue_id": "qu-1", "part": b"p"})
    assert rows == [("qu-1", b"p", 200, 0, 9.0)]


async def test_a_transaction_that_raises_leaves_nothing_and_its_neighbours_commit(store: Store, reads: Reads) -> None:
    def failing(tx: Transaction) -> int:
        counted(tx, 1000)
        msg = "no such thing"
        raise errors.NotFoundError(msg)

    call = a_call()
    outcomes = await asyncio.gather(
        *[store.transact(counted) for _ in range(10)], store.transact(failing), store.write(w.put_calls([call])),
        *[store.transact(counted) for _ in range(10)], return_exceptions=True,
    )  # fmt: skip
    failed = [o for o in outcomes if isinstance(o, BaseException)]
    assert [(type(o), str(o)) for o in failed] == [(errors.NotFoundError, "no such thing")]
    assert sorted(o for o in outcomes if isinstance(o, int)) == list(range(1, 21))
    assert await reads.call("main", call.id) == call


async def test_a_transaction_tells_how_many_rows_a_write_changed(store: Store) -> None:
    def entries(*keys: bytes, replace: bool) -> Callable[[Transaction], int]:
        rows = [r.DictEntryRow("di-1", key, 1, None, b"v") for key in keys]
        return lambda tx: tx.write(w.put_dict_entries(rows, replace=replace))

    many = [b"%d" % n for n in range(700)]
    assert await store.transact(entries(*many, replace=False)) == 700
    assert await store.transact(entries(b"1", b"new", replace=False)) == 1
    assert await store.transact(entries(b"1", b"new", replace=True)) == 2
    assert await store.transact(lambda tx: tx.write(w.delete_dict_entry("di-1", b"none"))) == 0
    assert (await store.read("dict_length", {"dict_id": "di-1"}))[0][0] == 701


async def test_what_a_transaction_wrote_is_there_after_reopening(make_store: Callable[[], Store]) -> None:
    store = make_store()
    await store.open()
    await asyncio.gather(*[store.transact(counted) for _ in range(50)])
    await store.close()
    with pytest.raises(errors.ConflictError, match="closed"):
        await store.transact(counted)
    again = make_store()
    await again.open()
    assert await again.transact(counted) == 51
    await again.close()


@pytest.mark.parametrize(("kind", "row"), [("dicts", r.DictRow), ("queues", r.QueueRow)])
async def test_a_name_belongs_to_one(store: Store, kind: w.Kind, row: Callable[..., r.DictRow | r.QueueRow]) -> None:
    inserts = [w.insert_named(kind, row(f"x-{n}", "main", name, 1.0)) for n, name in enumerate(("a", "a", None, None))]
    await store.transact(lambda tx: tx.write(inserts[0]))
    with pytest.raises(errors.AlreadyExistsError):
        await store.transact(lambda tx: tx.write(inserts[1]))
    await store.transact(lambda tx: [tx.write(op) for op in inserts[2:]])
