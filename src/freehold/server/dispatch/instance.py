"""One running process that serves a Function, as the server sees it."""

import asyncio
from pathlib import Path
from typing import Any

from freehold.core.devices import Device
from freehold.core.states import INSTANCE, CallState, InstanceState, move
from freehold.protocol.frames import Drain, Execute, Recall
from freehold.server.dispatch.task import Task

PREFETCH_MAX = 512
PREFETCH_S = 0.005  # prefetch no more than an instance works off in this time


class Instance:
    """Its state, its link and the inputs it holds, in the order in which they were sent."""

    def __init__(self, instance_id: str, pool: Any, *, token: str, created: float) -> None:
        self.id, self.pool, self.token, self.created = instance_id, pool, token, created
        self.state = InstanceState.STARTING
        self.link: Any = None
        self.pid: int | None = None
        self.slots = 1
        self.tasks: dict[tuple[str, int], Task] = {}
        self.web = 0  # web requests under way
        self.endpoints: dict[str, str] = {}
        self.porter: Path | None = None  # gives connections into its network, where that is not the machine's
        self.devices: tuple[Device, ...] = ()
        self.phases: dict[str, float] = {}
        self.ready: float | None = None  # epoch
        self.ended: float | None = None
        self.exit: str | None = None  # how its process ended, while what it sent may be unread
        self.reason: str | None = None
        self.started_at = 0.0  # monotonic
        self.prepared_at: float | None = None  # monotonic: its image, files and secrets are there
        self.last_beat = 0.0  # monotonic
        self.last_progress = 0.0  # monotonic: when it last began or ended something
        self.idle_since = 0.0  # monotonic
        self.stalled = False  # an input took long while others waited behind it: no prefetch until it ends
        self.spent = False  # takes nothing more: single use and used, or its link broke
        self.emptied = asyncio.Event()  # set when it runs nothing any more
        self.stopping = False  # the launcher was asked to stop it
        self.blameless = False  # it was ended for another reason than what it ran

    def move(self, state: InstanceState) -> None:
        self.state = move(INSTANCE, self.state, state)

    @property
    def load(self) -> int:
        return len(self.tasks) + self.web

    @property
    def accepts(self) -> bool:
        return self.state in (InstanceState.IDLE, InstanceState.BUSY) and not self.spent

    def window(self, mean_s: float | None) -> int:
        """How many inputs it may hold: those it runs, and some more when they are so short that the way to it would cost."""
        if self.pool.spec.single_use:
            return 1
        if self.pool.batched:
            return 2 * self.slots
        if mean_s is None or self.stalled or self.endpoints:
            return self.slots
        return self.slots + min(PREFETCH_MAX, int(PREFETCH_S / max(mean_s, 1e-6)))

    def execute(self, task: Task, now: float, *, epoch: float) -> None:
        """Send one input."""
        if not self.tasks:
            self.last_progress = now
        self.emptied.clear()
        self.tasks[task.call.id, task.index] = task
        task.move(CallState.RUNNING)
        task.instance, task.sent = self.id, now
        if task.call.started is None:
            task.call.started = epoch
        spec = self.pool.spec
        self.spent = spec.single_use
        self.link.send(
            Execute(
                task.call.id,
                task.index,
                task.attempt,
                task.method,
                task.payload,
                spec.timeout_s,
                task.call.kind == "generator",
            )
        )
        if self.state is InstanceState.IDLE:
            self.move(InstanceState.BUSY)

    def settle(self, now: float) -> None:
        """Become IDLE when nothing is left to do."""
        self.last_progress = now
        self.stalled = False
        if not self.load:
            self.emptied.set()
        if self.state is InstanceState.BUSY and not self.load:
            self.move(InstanceState.IDLE)
            self.idle_since = now

    def recall(self) -> None:
        """Ask for what it has not begun."""
        self.stalled = True
        self.link.send(Recall())

    def drain(self, grace_s: float) -> None:
        """Give it nothing more; it leaves when what it runs is done, and it does not know of web requests: it is stopped after them."""
        if self.state in (InstanceState.STARTING, InstanceState.IDLE, InstanceState.BUSY):
            self.move(InstanceState.DRAINING)
            if self.link is not None and not self.web:
                self.link.send(Drain(grace_s))
