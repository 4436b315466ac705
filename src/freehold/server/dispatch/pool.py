"""The instances of one Function, one set of parameters and one variant, with their queue. The server's loop owns it; nothing here waits."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable
from typing import Protocol

from freehold.core.autoscaler import Idle, PoolSnapshot, decide
from freehold.core.clock import Clock
from freehold.core.specs import FunctionSpec
from freehold.core.states import InstanceState
from freehold.protocol.frames import Room
from freehold.server.dispatch.instance import Instance
from freehold.server.dispatch.queue import Queue
from freehold.server.dispatch.sessions import Sessions
from freehold.server.dispatch.task import LiveCall, Task

EWMA = 0.2
STALL_S = 0.025
WISH_S = 5.0  # so long a request that was turned away counts as one that waits
MAX_BACKLOG = 200_000  # inputs that wait for one pool
MAX_BACKLOG_BYTES = 1 << 30  # of their payloads


class Fleet(Protocol):
    """What starts and stops a pool's instances."""

    def successor(self, pool: "Pool") -> "Pool | None": ...

    def refuse_waiting(self, pool: "Pool") -> None: ...

    def start(self, pool: "Pool", count: int) -> None: ...

    def satisfied(self, pool: "Pool") -> None: ...

    def served_first(self, instance: Instance, seconds: float) -> None: ...

    def stop(self, instance: Instance, *, grace_s: float, reason: str) -> None: ...


class Pool:
    """Queue in, instances out: `add`, `pump`, `ended`."""

    def __init__(self, key: str, *, spec: FunctionSpec, fleet: Fleet, clock: Clock, parameters: bytes = b"") -> None:
        self.key, self.spec, self.parameters = key, spec, parameters
        self.variant = ""
        self.app_id = self.app_name = self.function_id = self.function_name = self.workspace = ""
        self.version = 0
        self.instances: dict[str, Instance] = {}
        self.queue = Queue()
        self.crashed = False  # an instance died that held inputs
        self.held: dict[str, LiveCall] = {}  # calls whose client was told to send no more for now
        self.waiters: deque[asyncio.Future[Instance]] = deque()  # web requests that wait for an instance
        self._waiting_since = 0.0  # monotonic, of the first web request that waits
        self.sessions = Sessions()
        self._wished = 0.0  # monotonic: till then one more instance is wanted, though nobody waits
        self.mean_s: float | None = None
        self.failed_starts = 0  # in a row
        self.start_after = 0.0  # monotonic: no start before
        self.start_unasked_after = 0.0  # the same where nobody waits: for instances that are kept
        self.blocked: str | None = None  # why no instance can be placed now
        self.last_failure: str | None = None  # why the last start failed
        self.last_used = clock.monotonic()
        self.closed = False  # another version took over, or its app stopped
        batchings = [b for b in (spec.batching, *(m.batching for m in spec.methods)) if b is not None]
        self.batched = bool(batchings)
        self._batch_size = max((b.max_batch_size for b in batchings), default=1)
        self._fleet, self._clock = fleet, clock
        self._pump_planned = False

    # ---- inputs

    def add(self, task: Task) -> None:
        """Send an input at once where an instance has room and nobody waits before it; else queue it."""
        instance = None if self.queue.size or self.waiters or self.closed else self.pick()
        if instance is not None and not (task.alone and instance.load >= instance.slots):
            instance.execute(task, self._clock.monotonic(), epoch=self._clock.now())
        else:
            self.queue.push(task)
            self.pump_soon()

    def put_back(self, tasks: Iterable[Task]) -> None:
        """Queue inputs again, ahead of the others, in their order."""
        self.queue.push_front(tasks)
        self.pump_soon()

    def full(self, times: float = 1.0) -> bool:
        """Tell whether so many times as much waits as should."""
        return self.queue.size >= times * MAX_BACKLOG or self.queue.held_bytes >= times * MAX_BACKLOG_BYTES

    def hold(self, call: LiveCall) -> None:
        """Let the client of a call send no more of it until less waits."""
        self.held[call.id] = call
        call.tell(Room(call.id, False))

    def _let_go_on(self) -> None:
        held, self.held = self.held, {}
        for call in held.values():
            call.tell(Room(call.id, True))

    def pump_soon(self) -> None:
        if not self._pump_planned:
            self._pump_planned = True
            asyncio.get_running_loop().call_soon(self.pump)

    def pump(self) -> None:
        """Send what waits to instances that have room; start more for what still waits."""
        self._pump_planned = False
        if self.closed:
            self._hand_on()
            return
        now, epoch = self._clock.monotonic(), self._clock.now()
        if self.waiters:
            self._serve_waiters()
        while self.queue and (instance := self.pick()) is not None:
            if self.crashed and instance.load >= instance.slots and self.queue.first.alone:
                break  # till one has a slot free
            instance.execute(self.queue.pop(), now, epoch=epoch)
        if self.held and not self.full(0.5):
            self._let_go_on()
        if self.queue or self.waiters or self.wishes:
            self.scale()

    def _hand_on(self) -> None:
        """What still waits in a closed pool goes to the one that took over; where there is none, it ends."""
        if not self.backlog and not self.held:
            return
        heir = self._fleet.successor(self)
        if heir is None or heir is self:
            self._fleet.refuse_waiting(self)
            return
        tasks = self.queue.clear()
        for task in tasks:
            task.call.pool = heir
        heir.queue.push_front(tasks)
        heir.waiters.extendleft(reversed(self.waiters))
        heir.held |= self.held
        heir.crashed = heir.crashed or self.crashed
        self.waiters.clear()
        self.held.clear()
        heir.pump_soon()

    def pick(self) -> Instance | None:
        """Return the least loaded instance with room."""
        best, least = None, 1 << 30
        for instance in self.instances.values():
            load = instance.load
            if load < least and instance.accepts and load < instance.window(self.mean_s):
                best, least = instance, load
        return best

    def ended(self, instance: Instance, duration_s: float) -> None:
        """Note that an input ended on `instance`, `duration_s` after it began."""
        if not 0.0 <= duration_s < self.spec.timeout_s:  # clocks jump, and an instance may say anything
            duration_s = min(self.spec.timeout_s, max(0.0, duration_s))
        mean = self.mean_s
        self.mean_s = duration_s if mean is None else mean + EWMA * (duration_s - mean)
        now = self._clock.monotonic()
        self.last_used = now
        if "first_input" not in instance.phases:
            self._fleet.served_first(instance, duration_s)
        self.settle(instance, now)
        if self.queue.size or self.waiters:
            self.pump_soon()

    def settle(self, instance: Instance, now: float) -> None:
        """After something ended on an instance: it is idle when nothing is left, or, of single use, it goes."""
        instance.settle(now)
        if self.spec.single_use and instance.spent and not instance.load:
            self._fleet.stop(instance, grace_s=10.0, reason="used once")

    # ---- web requests

    async def acquire(self) -> Instance:
        """Wait for an instance with room for one more web request, and count it there."""
        self.last_used = self._clock.monotonic()
        instance = None if self.waiters else self._pick_web()
        if instance is not None:
            self._occupy(instance)
            return instance
        waiter: asyncio.Future[Instance] = asyncio.get_running_loop().create_future()
        if not self.waiters:
            self._waiting_since = self._clock.monotonic()
        self.waiters.append(waiter)
        self.pump_soon()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.release(waiter.result())
            with contextlib.suppress(ValueError):
                self.waiters.remove(waiter)
            raise

    def take(self, session: str = "") -> Instance | None:
        """An instance with room for one more web request, counted there, or None: nobody waits. A session has its own instance."""
        self.last_used = self._clock.monotonic()
        if session:
            live = {i.id for i in self.instances.values() if i.accepts}
            own = self.instances.get(self.sessions.instance(session, live) or "")
            instance = own if own is not None and own.load < own.slots else None
        else:
            instance = self._pick_web()
        if instance is not None:
            self._occupy(instance)
        return instance

    def wish(self) -> None:
        """A request was turned away: have room for the next ones."""
        self._wished = self._clock.monotonic() + WISH_S
        self.pump_soon()

    def grant(self) -> None:
        """An instance is ready: who was turned away may come again."""
        self._wished = 0.0

    @property
    def wishes(self) -> bool:
        return self._wished > self._clock.monotonic()

    def release(self, instance: Instance, seconds: float | None = None) -> None:
        """Take a web request off its instance, which it took `seconds`."""
        instance.web -= 1
        now = self._clock.monotonic()
        self.last_used = now
        if seconds is not None and "first_input" not in instance.phases:
            self._fleet.served_first(instance, seconds)
        self.settle(instance, now)
        if instance.pool.backlog:
            instance.pool.pump_soon()

    def waited_s(self) -> float:
        """How long the first input or request has waited that no instance has taken."""
        if self.waiters:
            return self._clock.monotonic() - self._waiting_since
        first = self.queue.first if self.queue else None
        return max(0.0, self._clock.now() - first.created) if first is not None and first.attempt == 1 else 0.0

    def fail_waiters(self, error: Exception) -> None:
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.done():
                waiter.set_exception(error)

    def _serve_waiters(self) -> None:
        while self.waiters:
            if self.waiters[0].done():
                self.waiters.popleft()
                continue
            instance = self._pick_web()
            if instance is None:
                return
            self._occupy(instance)
            self.waiters.popleft().set_result(instance)

    def _pick_web(self) -> Instance | None:
        ready = [i for i in self.instances.values() if i.accepts and i.load < i.slots]
        return min(ready, key=lambda i: i.load, default=None)

    def _occupy(self, instance: Instance) -> None:
        instance.web += 1
        instance.emptied.clear()
        instance.spent = self.spec.single_use
        if instance.state is InstanceState.IDLE:
            instance.move(InstanceState.BUSY)

    # ---- instances

    @property
    def live(self) -> list[Instance]:
        return [i for i in self.instances.values() if i.state.live and i.state is not InstanceState.DRAINING]

    @property
    def running(self) -> int:
        return sum(i.load for i in self.instances.values())

    @property
    def backlog(self) -> int:
        return len(self.queue) + len(self.waiters)

    def scale(self) -> None:
        """Carry out what the autoscaler decides."""
        if self.closed:
            return
        now = self._clock.monotonic()
        plan = decide(self._snapshot(), now)
        for instance_id in plan.stop:
            self._fleet.stop(self.instances[instance_id], grace_s=10.0, reason="idle")
        asked = self.backlog or self.wishes
        if plan.start and now >= (self.start_after if asked else self.start_unasked_after):
            self._fleet.start(self, self._careful(plan.start))
        elif not plan.start and self.blocked:
            self._fleet.satisfied(self)

    def _careful(self, count: int) -> int:
        """After a failed start one instance at a time is tried, when those under way have come up or failed."""
        if not self.failed_starts:
            return count
        return int(all(i.state is not InstanceState.STARTING for i in self.live))

    def recall_stalled(self) -> None:
        """Take back what waits inside an instance behind a long input."""
        now = self._clock.monotonic()
        for instance in self.instances.values():
            waits_inside = len(instance.tasks) > instance.slots and not self.batched
            if waits_inside and not instance.stalled and now - instance.last_progress > STALL_S:
                instance.recall()

    def _snapshot(self) -> PoolSnapshot:
        live = [i for i in self.live if not i.spent]
        concurrency = self.spec.concurrency
        per_instance = max(self._batch_size, concurrency.target_inputs or concurrency.max_inputs)
        inside = sum(i.load for i in live)
        running = sum(min(i.load, i.slots) for i in live)
        return PoolSnapshot(
            scaling=self.spec.scaling,
            per_instance=per_instance,
            waiting=self.backlog + inside - running + self.wishes,
            running=running,
            live=len(live),
            leaving=len(self.instances) - len(live),
            idle=tuple(Idle(instance=i.id, since=i.idle_since) for i in live if i.state is InstanceState.IDLE),
            mean_s=self.mean_s,
        )
