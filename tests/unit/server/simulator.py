"""A platform in virtual time: several functions, clients and played instances on one machine, with faults drawn from a seed.

The real dispatcher, fleet and pools run on a loop whose time jumps to the next timer. `World.live` plays it; what must hold is
asserted on the way and at the end.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, cast

from tests.unit.server.harness import Ear, Rig
from tests.unit.server.virtual import LoopClock, Memory, VirtualLoop

from freehold.core.devices import parse_declared
from freehold.core.errors import ResourceExhaustedError, StartError
from freehold.core.ids import new_id
from freehold.core.placement import Machine, memory_of
from freehold.core.specs import Batching, Concurrency, Resources, Retries, Scaling
from freehold.core.states import CallState, InstanceState
from freehold.launchers.contract import Exit, Started, StartRequest
from freehold.protocol.frames import (
    CancelInput,
    Drain,
    Execute,
    Extend,
    Input,
    Output,
    Payload,
    Ready,
    Recall,
    Refused,
    RemoteFailure,
    Result,
    Returned,
    StartFailed,
    Status,
    Submit,
)  # fmt: skip
from freehold.protocol.payload import encode_failure
from freehold.server.dispatch.instance import PREFETCH_S, Instance
from freehold.server.dispatch.pool import Pool
from freehold.server.dispatch.registry import LiveFunction

MACHINE = Machine(cpu=4, memory_mib=6000, devices=parse_declared("T4:2"))
LEASE_S = 3.0
FAULTS_S = 40.0  # so long things go wrong
LIMIT_S = 3600.0  # then everything must have ended by itself within this
NOBODY = 10**8  # a process id that there is not
SPECS: dict[str, dict[str, Any]] = {
    "plain": {"retries": Retries(max_retries=3, initial_delay_s=0.3, backoff=1.0)},
    "gpu": {"resources": Resources(gpu=("T4",))},
    "both": {"resources": Resources(gpu=("T4:2",)), "retries": Retries(max_retries=1, initial_delay_s=0.5)},
    "wide": {"resources": Resources(cpu=2, memory_mib=2500), "retries": Retries(max_retries=2, initial_delay_s=2.0)},
    "single": {"single_use": True, "scaling": Scaling(max_instances=2, scaledown_window_s=5)},
    "shared": {
        "concurrency": Concurrency(max_inputs=4, target_inputs=2),
        "scaling": Scaling(min_instances=1, max_instances=3, scaledown_window_s=5),
    },
    "batched": {"batching": Batching(max_batch_size=4, wait_ms=10), "scaling": Scaling(buffer_instances=1)},
}


class Wire:
    """One direction of a connection: in order, each message a little later."""

    def __init__(self, random: Random, receive: Callable[[Any], None]) -> None:
        self._random, self._receive, self._last = random, receive, 0.0

    def send(self, message: Any) -> None:
        loop = asyncio.get_running_loop()
        self._last = max(self._last, loop.time() + self._random.expovariate(2000))
        loop.call_at(self._last, self._receive, message)


class Peer:
    """A played instance, as its process and as the server's end of its link."""

    def __init__(self, world: "World", instance: Instance) -> None:
        self._world, self._random, self.instance = world, world.random, instance
        self._to_server, self._from_server = Wire(self._random, self._tell), Wire(self._random, self._hear)
        self.open, self.dead, self.leaving = False, False, False
        self._frozen_until = 0.0
        self._waiting: deque[Execute] = deque()
        self._running: dict[tuple[str, int, int], Execute] = {}
        self._slots = 1

    # ---- as a link

    def send(self, message: Any) -> None:
        if isinstance(message, Execute):
            self._world.check_execute(self.instance, message)
        self._from_server.send(message)

    def abort(self) -> None:
        self.open = False

    def _tell(self, step: Callable[[], None]) -> None:
        if self.instance.link is self and self.open:
            step()

    # ---- as a process

    async def come_up(self) -> None:
        world, fleet = self._world, self._world.rig.fleet
        await asyncio.sleep(self._random.expovariate(20))
        if self.dead:
            return
        self.open = True
        fleet.joined(self.instance, self, pid=NOBODY)
        await asyncio.sleep(self._random.expovariate(4))
        fault = world.fault(0.1)
        if fault and self._random.random() < 0.5:
            self.die(signal=11)
        elif fault:
            self._post(lambda: fleet.start_failed(self.instance, StartFailed("enter", _raised("KeyError", "no key"))))
            asyncio.get_running_loop().call_later(0.01, self.die)
        else:
            spec = self.instance.pool.spec
            self._slots = spec.batching.max_batch_size if spec.batching else spec.concurrency.max_inputs
            self._post(lambda: fleet.ready(self.instance, Ready(self._slots, {}, {})))
            self._beat()

    def die(self, *, signal: int | None = None) -> None:
        if self.dead:
            return
        self.dead = True
        self._running.clear()
        loop, fleet = asyncio.get_running_loop(), self._world.rig.fleet
        exit_ = Exit(instance=self.instance.id, signal=signal, code=None if signal else 0)
        loop.call_later(self._random.expovariate(500), fleet.exited, exit_)
        if self._random.random() < 0.9:  # else a child holds the link open
            self._post(self._hang_up)

    def _hang_up(self) -> None:
        self.open = False
        self._world.rig.fleet.link_lost(self.instance)

    def _post(self, step: Callable[[], None]) -> None:
        wait = self._frozen_until - asyncio.get_running_loop().time()
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, self._to_server.send, step)
        else:
            self._to_server.send(step)

    def _beat(self) -> None:
        if not self.dead:
            self._post(lambda: self._world.rig.fleet.beat(self.instance))
            asyncio.get_running_loop().call_later(LEASE_S / 3, self._beat)
            if self._world.fault(0.01):
                self._frozen_until = asyncio.get_running_loop().time() + self._random.choice(
                    [2 * LEASE_S, 10 * LIMIT_S]
                )

    def _hear(self, message: Any) -> None:
        if self.dead:
            return
        if isinstance(message, Execute):
            self._waiting.append(message)
            self._begin()
        elif isinstance(message, Recall):
            self._give_back()
        elif isinstance(message, Drain):
            self.leave()
        elif isinstance(message, CancelInput) and self._random.random() < 0.8:
            self._end((message.call, message.index, message.attempt), Status.CANCELLED)

    def leave(self) -> None:
        self.leaving = True
        self._give_back()
        self._go_when_done()

    def _go_when_done(self) -> None:
        if self.leaving and not self._running:
            asyncio.get_running_loop().call_later(0.005, self.die)

    def _give_back(self) -> None:
        back = [(e.call, e.index, e.attempt) for e in self._waiting]
        self._waiting.clear()
        if back or self._random.random() < 0.1:
            self._post(lambda: self._world.rig.dispatcher.returned(self.instance, Returned(back)))

    def _begin(self) -> None:
        while self._waiting and len(self._running) < self._slots and not self.leaving:
            execute = self._waiting.popleft()
            key = execute.call, execute.index, execute.attempt
            self._running[key] = execute
            loop = asyncio.get_running_loop()
            kind = self._random.random()
            took = min(self._random.expovariate(4), 3.0)
            if self._world.fault(0.02):
                loop.call_later(took, lambda: self.die(signal=9))
            elif self._world.fault(0.01):
                continue  # it hangs
            else:
                status = Status.ERROR if kind < 0.1 else Status.TIMEOUT if kind < 0.12 else Status.OK
                loop.call_later(took, self._end, key, status)

    def _end(self, key: tuple[str, int, int], status: Status) -> None:
        if self.dead or self._running.pop(key, None) is None:
            return
        now = self._world.rig.clock.now()
        payload = Payload(b"%d" % key[2]) if status == Status.OK else _failure(key[2])
        result = Result(*key, status, payload, now - 0.01, now)
        self._post(lambda: self._world.rig.dispatcher.result(self.instance, result))
        if self._world.fault(0.1):
            again = lambda: self._post(lambda: self._world.rig.dispatcher.result(self.instance, result))  # noqa: E731
            asyncio.get_running_loop().call_later(self._random.uniform(0.2, 1.0), again)
        self._begin()
        self._go_when_done()


class Processes:
    """The launcher of played instances."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.exited: Callable[[Exit], None] = lambda _: None
        self.peers: dict[str, Peer] = {}

    async def start(self, request: StartRequest) -> Started:
        await asyncio.sleep(self._world.random.expovariate(50))
        if self._world.fault(0.03):
            raise self._world.random.choice([StartError("no module"), ResourceExhaustedError("no process")])
        instance = self._world.rig.fleet.instances.get(request.instance)
        if instance is None:
            raise StartError("stopped while it started")
        peer = self.peers[request.instance] = Peer(self._world, instance)
        self._world.spawn(peer.come_up())
        return Started(pid=NOBODY)

    async def stop(self, instance: str, *, grace_s: float) -> None:
        peer = self.peers.get(instance)
        if peer is not None:
            peer.leave()
            asyncio.get_running_loop().call_later(grace_s, lambda: peer.die(signal=9))

    async def kill(self, instance: str) -> None:
        if instance in self.peers:
            self.peers[instance].die(signal=9)

    async def retire(self, pool: str) -> None:
        pass


class Caller(Ear):
    """A client that knows what it asked for, and hears each outcome once."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.asked: Counter[tuple[str, int]] = Counter()
        self.told: dict[tuple[str, int], int] = {}
        self.growing: dict[str, int] = {}

    def send(self, message: Any) -> None:
        if isinstance(message, Output):
            assert (message.call, message.index) not in self.told, "an outcome was told twice"
            self.told[message.call, message.index] = message.status
        elif isinstance(message, Refused):
            self.growing.pop(message.call, None)
            for key in [k for k in self.asked if k[0] == message.call and k not in self.told]:
                del self.asked[key]


class World:
    """One seed, one history."""

    def __init__(self, seed: int, loop: VirtualLoop) -> None:
        self.random, self._loop = Random(seed), loop
        self.rig = Rig(Path("/nowhere"), machine=MACHINE, clock=LoopClock(loop), lease_s=LEASE_S, timeout_s=6.0)
        rig = cast("Any", self.rig)
        self.store = rig.store = rig.record._store = Memory(self.random)
        self.processes = rig.launcher = rig.fleet._launcher = Processes(self)
        self.processes.exited = self.rig.fleet.exited
        names = self.random.sample(sorted(SPECS), self.random.randint(2, len(SPECS)))
        self.names = [self.rig.declare(n, timeout_s=6.0, startup_timeout_s=5.0, **SPECS[n]).name for n in names]
        self.callers = [Caller(f"client {n}") for n in range(3)]
        self.faulty, self._tasks = True, set[asyncio.Task[None]]()
        self.trace: list[str] = []

    def fault(self, chance: float) -> bool:
        return self.faulty and self.random.random() < chance

    def spawn(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def functions(self) -> list[LiveFunction]:
        return [self.rig.app.functions[n] for n in self.names]

    async def live(self) -> None:
        ticking = self._loop.create_task(self._tick())
        until = self._loop.time() + FAULTS_S
        while self._loop.time() < until:
            self.random.choices([self._submit, self._extend, self._cancel, self._reconnect, self._deploy, self._break],
                                [30, 30, 6, 3, 1, 4])[0]()  # fmt: skip
            self.check()
            await asyncio.sleep(self.random.expovariate(10))
        self.faulty = False
        for caller in self.callers:
            for call in list(caller.growing):
                self.rig.dispatcher.extend(Extend(call, [], more=False), workspace="main")
        await self._wait(lambda: not self.rig.dispatcher.calls, "a call never ended")
        await self._wait(self._at_rest, "an instance never left")
        ticking.cancel()
        self._check_end()

    # ---- what clients do

    def _submit(self) -> None:
        caller, function = self.random.choice(self.callers), self.random.choice(self.functions)
        kind = self.random.choice(["remote", "map", "map", "spawn"])
        count = self.random.randint(1, 12) if kind == "map" else 1
        more = kind == "map" and self.random.random() < 0.5
        call = new_id("fc")
        caller.asked.update((call, n) for n in range(count))
        inputs = [Input(n, Payload(b"args")) for n in range(count)]
        if more:
            caller.growing[call] = count
        message = Submit(call, function.id, cast("Any", kind), inputs, more=more)
        self.rig.dispatcher.submit(caller, message, workspace="main")

    def _extend(self) -> None:
        caller = self.random.choice(self.callers)
        if caller.growing:
            call = self.random.choice(list(caller.growing))
            first, count = caller.growing[call], self.random.randint(0, 4)
            more = self.random.random() < 0.7
            caller.asked.update((call, n) for n in range(first, first + count))
            caller.growing[call] += count
            if not more:
                del caller.growing[call]
            inputs = [Input(n, Payload(b"args")) for n in range(first, first + count)]
            self.rig.dispatcher.extend(Extend(call, inputs, more), workspace="main")

    def _cancel(self) -> None:
        calls = list(self.rig.dispatcher.calls)
        if calls:
            call = self.random.choice(calls)
            for caller in self.callers:
                caller.growing.pop(call, None)
            self.rig.dispatcher.cancel(call, terminate=self.random.random() < 0.2)

    def _reconnect(self) -> None:
        """A link breaks and comes back; what has no answer is sent again."""
        caller = self.random.choice(self.callers)
        self.rig.dispatcher.dropped(caller)
        for call in {c for c, _ in caller.asked} & set(self.rig.dispatcher.calls):
            live = self.rig.dispatcher.calls[call]
            open_ = sorted(i for c, i in caller.asked if c == call and (c, i) not in caller.told)
            inputs = [Input(n, Payload(b"args")) for n in open_]
            again = Submit(call, live.function_id, cast("Any", live.kind), inputs, more=live.more, again=True)
            self.rig.dispatcher.submit(caller, again, workspace="main")

    # ---- what happens to the platform

    def _deploy(self) -> None:
        old = self.random.choice(self.functions)
        new = LiveFunction(id=old.id, app=old.app, spec=old.spec, digest="", version=old.version + 1)
        self.rig.registry.functions[old.id] = old.app.functions[old.name] = new
        for pool in old.pools.values():
            self.rig.fleet.close_pool(pool, grace_s=1.0, reason="a new version")

    def _break(self) -> None:
        instances = list(self.rig.fleet.instances.values())
        if instances:
            instance = self.random.choice(instances)
            peer = self.processes.peers.get(instance.id)
            kind = self.random.choice(["die", "stop", "hang up"])
            if kind == "stop":
                self.rig.fleet.stop(instance, grace_s=1.0, reason="stopped by its user")
            elif peer is not None and kind == "die":
                peer.die(signal=9)
            elif peer is not None and peer.open:
                peer._hang_up()

    async def _tick(self) -> None:
        rig = self.rig
        while True:
            await asyncio.sleep(0.2)
            rig.fleet.tick()
            rig.fleet.recall_stalled()
            rig.dispatcher.notice_long_running(1.0)
            for instance, task in rig.dispatcher.overdue(5.0):
                rig.dispatcher.time_out(instance, task)
            self.check()

    # ---- what holds

    def check_execute(self, instance: Instance, execute: Execute) -> None:
        task = instance.tasks[execute.call, execute.index]
        pool: Pool = instance.pool
        assert instance.state in (InstanceState.IDLE, InstanceState.BUSY), "sent to an instance that takes nothing"
        assert task.state is CallState.RUNNING, "sent though it is final"
        short = pool.mean_s is not None and pool.mean_s < PREFETCH_S
        credit = 1 if pool.spec.single_use else 2 * instance.slots if pool.batched or short else instance.slots
        assert instance.load <= credit, "more than its credit"
        others = [i for i in self.rig.fleet.instances.values() if task.key in i.tasks and i is not instance]
        assert not others, "held twice"
        self.trace.append(f"{self._loop.time():.9f} {pool.function_name} {execute.index} {execute.attempt}")

    def check(self) -> None:
        rig, instances = self.rig, list(self.rig.fleet.instances.values())
        assert sum(memory_of(i.pool.spec.resources) for i in instances) <= MACHINE.memory_mib
        devices = Counter(d.id for i in instances for d in i.devices)
        assert all(n == 1 for n in devices.values()), "a device was given twice"
        pools = set(rig.registry.pools()) | {cast("Pool", i.pool) for i in instances}
        for pool in pools:
            most = pool.spec.scaling.max_instances
            assert most is None or len(pool.instances) <= most, "more instances than max_containers"
            assert len(pool.queue) == len(list(pool.queue))
            for task in pool.queue:
                assert task.state is CallState.PENDING, "what ended waits"
                assert task.call.pool is pool
                assert task.call.tasks.get(task.index) is task
        held = Counter(id(t) for i in instances for t in i.tasks.values()) + Counter(
            id(t) for p in pools for t in p.queue
        )
        assert all(n == 1 for n in held.values()), "an input is in two places"

    def _at_rest(self) -> bool:
        least = sum(f.spec.scaling.min_instances for f in self.functions)
        return len(self.rig.fleet.instances) <= least

    def _check_end(self) -> None:
        for caller in self.callers:
            missing = [k for k in caller.asked if k not in caller.told]
            assert not missing, f"{len(missing)} inputs have no outcome"
            assert not caller.calls
        assert set(self.store.outcomes) == {k for c in self.callers for k in c.told}, "told and recorded differ"
        assert all(n == 1 for n in self.store.attempts.values()), "an attempt was recorded twice"
        assert not self._tasks
        for pool in self.rig.registry.pools():
            assert not pool.backlog
            assert not pool.queue.held_bytes
            assert pool.blocked is None

    async def _wait(self, done: Callable[[], bool], failure: str) -> None:
        limit = self._loop.time() + LIMIT_S
        while not done():
            assert self._loop.time() < limit, failure
            await asyncio.sleep(0.5)


def _raised(kind: str, message: str) -> RemoteFailure:
    return RemoteFailure(f"builtins.{kind}", message, "")


def _failure(attempt: int) -> Payload:
    return Payload(encode_failure(_raised("ValueError", f"attempt {attempt}")))


def simulate(seed: int) -> list[str]:
    """Play one seed; return what was sent to instances, and when."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    problems: list[Any] = []
    loop.set_exception_handler(lambda _, context: problems.append(context))
    try:
        world = World(seed, loop)
        loop.run_until_complete(world.live())
        assert not problems, problems[0]
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        asyncio.set_event_loop(None)
        loop.close()
    return world.trace
