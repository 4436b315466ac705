"""Dispatch driven at random: whatever happens in whatever order, every input ends once and nothing is left behind."""

import asyncio
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.unit.server.harness import Ear, Rig

from freehold.core.ids import new_id
from freehold.core.specs import Retries
from freehold.core.states import InstanceState
from freehold.protocol.frames import (
    Execute,
    Extend,
    Input,
    Output,
    Payload,
    Ready,
    RemoteFailure,
    Result,
    Returned,
    Status,
    Submit,
)
from freehold.protocol.payload import encode_failure
from freehold.server.dispatch.instance import Instance
from freehold.server.dispatch.registry import LiveFunction

FAILURE = Payload(encode_failure(RemoteFailure("builtins.ValueError", "no", "")))
PICK = st.integers(min_value=0, max_value=1 << 16)
STATUS = st.sampled_from([Status.OK, Status.OK, Status.ERROR, Status.TIMEOUT, Status.CANCELLED, 77])


class Line(Ear):
    """An instance's link that checks that nothing is sent to one that must not get it."""

    def __init__(self, instance: Instance) -> None:
        super().__init__()
        self.instance = instance

    def send(self, message: Any) -> None:
        if isinstance(message, Execute):
            assert self.instance.state in (InstanceState.IDLE, InstanceState.BUSY), self.instance.state
        super().send(message)


class Dispatch(RuleBasedStateMachine):
    """One function, its versions, and a client."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.problems: list[Any] = []
        self.loop.set_exception_handler(lambda _, context: self.problems.append(context))
        self.rig = self.loop.run_until_complete(self._open())
        self.expected: Counter[tuple[str, int]] = Counter()
        self.growing: dict[str, int] = {}
        self.made: list[str] = []

    async def _open(self) -> Rig:
        retries = Retries(max_retries=2, initial_delay_s=0.0)
        return await Rig(Path(self.folder.name), retries=retries).__aenter__()

    def run(self, turns: int = 3) -> None:
        async def some() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.loop.run_until_complete(some())

    def do(self, step: Any) -> None:
        async def within() -> None:
            step()

        self.loop.run_until_complete(within())
        self.run()

    def some_instance(self, pick: int) -> Instance | None:
        known = list(self.rig.fleet.instances.values())
        return known[pick % len(known)] if known else None

    # ---- the client

    @rule(kind=st.sampled_from(["remote", "spawn", "map"]), count=st.integers(0, 4), more=st.booleans())
    def submit(self, kind: Any, count: int, more: bool) -> None:
        call, more = new_id("fc"), more and kind == "map"
        inputs = [Input(n, Payload(b"args")) for n in range(count)]
        message = Submit(call, self.rig.function.id, kind, inputs, more=more)
        self.do(lambda: self.rig.dispatcher.submit(self.rig.ear, message, workspace="main"))
        self.expected.update((call, n) for n in range(count))
        self.made.append(call)
        if more:
            self.growing[call] = count

    @rule(pick=PICK, count=st.integers(0, 3), more=st.booleans())
    def extend(self, pick: int, count: int, more: bool) -> None:
        if self.growing:
            call = list(self.growing)[pick % len(self.growing)]
            first = self.growing[call]
            inputs = [Input(n, Payload(b"args")) for n in range(first, first + count)]
            self.do(lambda: self.rig.dispatcher.extend(Extend(call, inputs, more), workspace="main"))
            self.expected.update((call, i.index) for i in inputs)
            self.growing[call] += count
            if not more:
                del self.growing[call]

    @rule(pick=PICK, terminate=st.booleans())
    def cancel(self, pick: int, terminate: bool) -> None:
        if self.made:
            call = self.made[pick % len(self.made)]
            self.do(lambda: self.rig.dispatcher.cancel(call, terminate=terminate))
            self.growing.pop(call, None)

    # ---- instances

    @rule(pick=PICK, slots=st.integers(1, 3))
    def come_up(self, pick: int, slots: int) -> None:
        self.run(20)
        waiting = [i for i in self.rig.fleet.instances.values() if i.link is None and i.pid is not None]
        if waiting:
            instance = waiting[pick % len(waiting)]
            self.do(lambda: self.rig.fleet.joined(instance, Line(instance), pid=1))
            self.do(lambda: self.rig.fleet.ready(instance, Ready(slots, {}, {})))

    @rule(pick=PICK, which=PICK, status=STATUS, stale=st.booleans())
    def answer(self, pick: int, which: int, status: int, stale: bool) -> None:
        instance = self.some_instance(pick)
        if instance is not None and instance.tasks:
            task = list(instance.tasks.values())[which % len(instance.tasks)]
            now = self.rig.clock.now()
            payload = Payload(b"result") if status == Status.OK else FAILURE if status != 77 else Payload(b"\xff\xfe")
            result = Result(*task.key, task.attempt + stale, status, payload, now - 0.001, now)
            self.do(lambda: self.rig.dispatcher.result(instance, result))
            self.do(lambda: self.rig.dispatcher.result(instance, result))  # once more: stale

    @rule(pick=PICK, count=st.integers(0, 3))
    def give_back(self, pick: int, count: int) -> None:
        instance = self.some_instance(pick)
        if instance is not None:
            back = [(*t.key, t.attempt) for t in list(instance.tasks.values())[::-1][:count]]
            self.do(lambda: self.rig.dispatcher.returned(instance, Returned(back)))

    @rule(pick=PICK, how=st.sampled_from(["die", "lose lease", "lose link", "drain"]))
    def end(self, pick: int, how: str) -> None:
        instance = self.some_instance(pick)
        if instance is None:
            return
        fleet = self.rig.fleet
        if how == "die":
            self.do(lambda: fleet.kill(instance, reason="killed"))
        elif how == "lose lease" and instance.link is not None:
            instance.last_beat -= 1000.0
            self.do(fleet.tick)
        elif how == "lose link" and instance.link is not None:
            self.do(lambda: fleet.link_lost(instance))
            self.do(lambda: fleet._unlinked(instance))
        elif how == "drain":
            self.do(lambda: fleet.stop(instance, grace_s=1.0, reason="drained"))

    @rule()
    def deploy(self) -> None:
        old = self.rig.registry.functions[self.rig.function.id]
        new = LiveFunction(id=old.id, app=old.app, spec=old.spec, digest="", version=old.version + 1)

        def take_over() -> None:
            self.rig.registry.functions[old.id] = old.app.functions["f"] = new
            for pool in old.pools.values():
                self.rig.fleet.close_pool(pool, grace_s=1.0, reason="a new version")

        self.do(take_over)

    # ---- what holds

    @invariant()
    def nothing_is_told_twice_and_nothing_raised(self) -> None:
        told = Counter((o.call, o.index) for o in self.rig.ear.of(Output))
        assert all(n == 1 for n in told.values())
        assert not self.problems

    @invariant()
    def an_input_is_in_one_place(self) -> None:
        pools = {id(p): p for p in self.rig.registry.pools()} | {
            id(i.pool): i.pool for i in self.rig.fleet.instances.values()
        }
        queued = Counter(id(t) for p in pools.values() for t in p.queue if not t.state.final)
        held = Counter(id(t) for i in self.rig.fleet.instances.values() for t in i.tasks.values())
        assert all(n == 1 for n in (queued + held).values())

    def teardown(self) -> None:
        try:
            self.loop.run_until_complete(asyncio.wait_for(self._end_all(), 5))
            assert not self.problems
            assert not self.rig.dispatcher.calls
            assert {(o.call, o.index) for o in self.rig.ear.of(Output)} == set(self.expected)
            self.loop.run_until_complete(self._check_rows())
        finally:
            self.loop.run_until_complete(self.rig.store.close())
            self.loop.close()
            self.folder.cleanup()

    async def _end_all(self) -> None:
        """Play friendly instances until everything that was accepted has ended."""
        rig = self.rig
        for call in list(self.growing):
            rig.dispatcher.extend(Extend(call, [], more=False), workspace="main")
        while rig.dispatcher.calls:
            rig.fleet.tick()
            for pool in rig.registry.pools():
                pool.start_after = 0.0
            for instance in list(rig.fleet.instances.values()):
                if instance.link is None and instance.pid is not None and instance.state.live:
                    rig.fleet.joined(instance, Line(instance), pid=1)
                    rig.fleet.ready(instance, Ready(1, {}, {}))
                for task in list(instance.tasks.values()):
                    now = rig.clock.now()
                    rig.dispatcher.result(instance, Result(*task.key, task.attempt, 0, Payload(b"ok"), now, now))
            await asyncio.sleep(0.002)

    async def _check_rows(self) -> None:
        assert not await self.rig.reads.unfinished()
        for call in self.made:
            row = await self.rig.reads.call("main", call)
            assert row is not None
            inputs = sum(c == call for c, _ in self.expected)
            assert (row.inputs, row.succeeded + row.failed) == (inputs, inputs)
        for instance in self.rig.fleet.instances.values():
            assert not instance.tasks


TestDispatch = Dispatch.TestCase
TestDispatch.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
