"""Starts, watches and ends instances, for all pools of one machine: placement, leases, start-up phases, causes of death."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Coroutine
from functools import partial
from hashlib import sha256
from typing import Any, Protocol

from freehold.core.clock import Clock
from freehold.core.errors import (
    Error,
    InstanceDiedError,
    InvalidError,
    NotFoundError,
    ResourceExhaustedError,
    ServiceError,
    StartupTimeoutError,
)
from freehold.core.ids import new_id
from freehold.core.placement import Machine, shortage
from freehold.core.processes import has_children
from freehold.core.specs import FunctionSpec
from freehold.core.states import InstanceState
from freehold.launchers.contract import Exit, Launcher, StartRequest
from freehold.protocol.arena import sweep
from freehold.protocol.frames import Payload, Ready, StartFailed, Welcome
from freehold.protocol.payload import encode_failure
from freehold.server.dispatch.dispatcher import Dispatcher, error_payload
from freehold.server.dispatch.instance import Instance
from freehold.server.dispatch.places import Places
from freehold.server.dispatch.pool import Pool
from freehold.server.dispatch.record import Record
from freehold.server.dispatch.registry import LiveFunction, Registry, pool_key

log = logging.getLogger("freehold.fleet")
MAX_FAILED_STARTS = 3  # in a row, with nobody left who serves or may yet come up: then what waits fails
STOP_GRACE_S = 10.0
IDLE_POOL_S = (
    600.0  # a set of parameters, or a variant, that nobody used for so long loses its pool and its warm parent
)
LATE_S = 1.0  # a tick that comes so late means that this process stood still, not the others
MEMORY_GRACE_S = 30.0  # results of an instance that died may still be on their way
UNREAD_S = 1.0  # after its process ended, what an instance sent is read for so long at most
_MAX_PAUSE_S, _MAX_PAUSE_UNASKED_S = 30.0, 60.0


class Preparer(Protocol):
    """What readies everything that an instance needs: image, mounts, volumes, secrets, environment."""

    async def prepare(self, instance: Instance) -> StartRequest: ...
    def release(self, instance: Instance) -> None:
        """It is gone, or was given up before it began; may be told twice."""
        ...


class LogSink(Protocol):
    """The part of the log collector that the fleet needs."""

    def begin(self, instance: Instance) -> None: ...

    def end(self, instance: Instance) -> None: ...

    def note(self, instance: Instance, text: str) -> None:
        """A line of ours among those that the instance wrote; before its `end`."""
        ...


class Fleet:
    """All instances of this machine."""

    def __init__(
        self, *, registry: Registry, record: Record, launcher: Launcher, machine: Machine, clock: Clock, lease_s: float
    ) -> None:
        self.dispatcher: Dispatcher
        self.preparer: Preparer
        self.logs: LogSink
        self.welcome: Welcome
        self.changed: Callable[[str, str, str], None] = lambda _kind, _id, _name: None
        self.on_ready: Callable[[Instance], None] = lambda _instance: None
        self.on_joined: Callable[[Instance], None] = lambda _instance: None  # its code is not loaded yet
        self.on_gone: Callable[[Instance], None] = lambda _instance: None
        self.instances: dict[str, Instance] = {}
        self.by_token: dict[str, Instance] = {}
        self.machine = machine
        self.places = Places(machine, self.instances, clock, partial(_evict, self), shares_network=_shares(launcher))
        self.lease_s = lease_s
        self._registry, self._record, self._launcher, self._clock = registry, record, launcher, clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: dict[str, asyncio.Event] = {}
        self._closing = False
        self._ticked = clock.monotonic()
        launcher.exited = self.exited

    # ---- pools

    def pool(self, function: LiveFunction, parameters: bytes, variant: str = "") -> Pool:
        """The pool of this function with these parameters and overrides; made when it is first asked for."""
        key = pool_key(parameters, variant)
        pool = function.pools.get(key)
        if pool is None:
            pool = function.pools[key] = self.new_pool(function, parameters, variant)
        return pool

    def new_pool(self, function: LiveFunction, parameters: bytes, variant: str = "") -> Pool:
        """Raises InvalidError for overrides that this version of the function cannot have."""
        own = pool_key(parameters, variant)
        key = f"{function.id}-{function.version}" + (f"-{sha256(own).hexdigest()[:12]}" if own else "")
        spec = self._registry.spec(function, parameters, variant)
        pool = Pool(key, spec=spec, fleet=self, clock=self._clock, parameters=parameters)
        pool.variant = variant
        pool.app_id, pool.app_name, pool.workspace = function.app.id, function.app.name, function.app.workspace
        pool.function_id, pool.function_name, pool.version = function.id, function.name, function.version
        return pool

    def close_pool(self, pool: Pool, *, grace_s: float, reason: str, finish_s: float | None = None) -> None:
        """Let a pool's instances finish what they run, for `finish_s` or the function's timeout, and start no more."""
        pool.closed = True
        self.places.leave(pool)
        pool.pump_soon()
        for instance in list(pool.instances.values()):
            self.stop(instance, grace_s=grace_s, reason=reason, finish_s=finish_s)
        self._spawn(self._retire_when_empty(pool))

    def successor(self, pool: Pool) -> Pool | None:
        """The pool that a newer version of a closed pool's function has for its parameters; None: the function is gone."""
        function = self._registry.functions.get(pool.function_id)
        try:
            return None if function is None else self.pool(function, pool.parameters, pool.variant)
        except InvalidError:  # the newer version cannot be overridden so
            return None

    def refuse_waiting(self, pool: Pool) -> None:
        """End what waits for a function that is gone."""
        pool.held.clear()
        self._refuse(pool, NotFoundError(f"{pool.app_name}.{pool.function_name} was removed, or its app was stopped"))

    def _close_unused(self, now: float) -> None:
        """A Cls has a pool a set of parameters, and each variant one: let go of those that nobody uses."""
        for function in self._registry.functions.values():
            for key, pool in list(function.pools.items()):
                if key and not pool.instances and not pool.backlog and now - pool.last_used > IDLE_POOL_S:
                    del function.pools[key]
                    self.close_pool(pool, grace_s=0.0, reason="unused")

    async def _retire_when_empty(self, pool: Pool) -> None:
        while pool.instances:
            await self.wait_ended(next(iter(pool.instances)))
        await self._launcher.retire(pool.key)

    # ---- starting

    def start(self, pool: Pool, count: int) -> None:
        """Start up to `count` instances, as many as fit now."""
        if self._closing:
            return
        for _ in range(count):
            found = self.places.find(pool)
            if found.verdict == "never":
                pool.last_failure = f"function {pool.function_name!r}: {found.reason}"
                self._refuse(pool, ResourceExhaustedError(pool.last_failure))
            if found.verdict != "now":
                return
            instance = Instance(new_id("in"), pool, token=secrets.token_urlsafe(24), created=self._clock.now())
            instance.devices = found.devices
            instance.phases["queue"] = pool.waited_s()
            instance.started_at = instance.last_beat = self._clock.monotonic()
            pool.instances[instance.id] = self.instances[instance.id] = self.by_token[instance.token] = instance
            self._ended[instance.id] = asyncio.Event()
            self._record.instance(instance)
            self._notify(instance)
            self._spawn(self._start(instance))

    def lacking(self, pool: Pool) -> str | None:
        """What this machine lacks for ever to run an instance of a pool."""
        return shortage(pool.spec.resources, self.machine)

    def satisfied(self, pool: Pool) -> None:
        """A pool wants no more instances."""
        self.places.leave(pool)

    async def _start(self, instance: Instance) -> None:
        begun = self._clock.monotonic()
        try:
            request = await self.preparer.prepare(instance)
            if instance.state is not InstanceState.STARTING:
                self.preparer.release(instance)
                return  # stopped meanwhile
            instance.prepared_at = self._clock.monotonic()
            instance.phases["prepare"] = instance.prepared_at - begun - instance.phases.get("image", 0.0)
            self.logs.begin(instance)
            started = await self._launcher.start(request)
        except Error as error:
            passing = isinstance(error, (ServiceError, ResourceExhaustedError))
            self._failed_to_start(instance, error_payload(error), str(error), final=not passing)
        except Exception as error:
            log.exception("instance_start_failed", extra={"instance": instance.id})
            wrapped = ServiceError(f"instance could not be started: {error}")
            self._failed_to_start(instance, error_payload(wrapped), str(error))
        else:
            instance.pid, instance.porter = started.pid, started.porter
            instance.phases.update(started.phases)
            if instance.link is not None:
                self.on_joined(instance)
            if not instance.state.live:  # given up meanwhile
                await self._launcher.kill(instance.id)
            elif instance.state is not InstanceState.STARTING and not instance.stopping:
                self.stop(instance, grace_s=STOP_GRACE_S, reason=instance.reason or "stopped while it started")

    def joined(self, instance: Instance, link: object, pid: int) -> None:
        """An instance opened its link."""
        instance.link = link
        instance.pid = instance.pid or pid
        instance.last_beat = self._clock.monotonic()
        instance.link.send(self.welcome)
        if instance.porter is not None:
            self.on_joined(instance)
        if instance.state is InstanceState.DRAINING:
            self.stop(instance, grace_s=STOP_GRACE_S, reason=instance.reason or "stopped")

    def ready(self, instance: Instance, message: Ready) -> None:
        """User code is loaded: it takes inputs from now on."""
        if instance.state is not InstanceState.STARTING:
            return
        now = self._clock.monotonic()
        instance.slots = max(1, message.slots)
        instance.endpoints = message.endpoints
        instance.phases.update(message.phases)
        instance.phases["total"] = now - instance.started_at
        instance.ready, instance.idle_since = self._clock.now(), now
        instance.pool.failed_starts, instance.pool.last_failure = 0, None
        instance.pool.start_after = instance.pool.start_unasked_after = 0.0
        instance.pool.grant()
        instance.move(InstanceState.IDLE)
        self.on_ready(instance)
        self._record.instance(instance)
        self._notify(instance)
        instance.pool.pump_soon()

    def served_first(self, instance: Instance, seconds: float) -> None:
        """An instance has ended its first input: the last phase of its start."""
        instance.phases["first_input"] = seconds
        self._record.instance(instance)

    def start_failed(self, instance: Instance, message: StartFailed) -> None:
        """An enter hook raised."""
        reason = f"{message.phase} failed: {message.failure.type}: {message.failure.message}"
        again = instance.pool.last_failure == reason
        self._failed_to_start(instance, Payload(encode_failure(message.failure)), reason, final=again)

    def _failed_to_start(self, instance: Instance, failure: Payload, reason: str, *, final: bool = False) -> None:
        """`final`: to try again would bring the same."""
        if instance.state is not InstanceState.STARTING:
            if instance.state is InstanceState.DRAINING:
                self._gone(instance, "stopped while it started")
            return
        self._error(instance, reason)
        self._note_failure(instance, failure, reason, final=final)
        self.kill(instance, reason=reason)

    def _note_failure(self, instance: Instance, failure: Payload, reason: str, *, final: bool) -> None:
        """Try again after a growing pause. What waits fails when nobody serves or may yet come up, and it happens again and again."""
        pool: Pool = instance.pool
        pool.failed_starts += 1
        pool.last_failure = reason
        pause, unasked = _pauses(pool.failed_starts)
        pool.start_after = self._clock.monotonic() + pause
        pool.start_unasked_after = self._clock.monotonic() + unasked
        if not pool.live and (final or pool.failed_starts >= MAX_FAILED_STARTS):
            self.dispatcher.fail_waiting(pool, failure)
            where = f"`freehold app logs {pool.app_name} --function {pool.function_name}` has the cause"
            pool.fail_waiters(ServiceError(f"{pool.app_name}.{pool.function_name} could not start; {where}"))
        elif pool.backlog:
            asyncio.get_running_loop().call_later(pause, pool.pump_soon)
        self._tell_failure(instance, pause if pool.backlog else unasked)

    def _tell_failure(self, instance: Instance, pause: float) -> None:
        pool: Pool = instance.pool
        times = f" ({pool.failed_starts} times in a row)" if pool.failed_starts > 1 else ""
        wanted = pool.backlog or pool.spec.scaling.min_instances > len(pool.live)
        when = f"next try in {pause:g} s" if wanted else "next try when it is called"
        self.logs.note(instance, f"function {pool.function_name!r} could not start{times}; {when}")
        log.warning(
            "instance_could_not_start",
            extra={"app": pool.app_name, "function": pool.function_name, "instance": instance.id, "reason": pool.last_failure,
                   "times": pool.failed_starts, "next_try_s": pause if wanted else None},
        )  # fmt: skip

    def _refuse(self, pool: Pool, error: Error) -> None:
        self.dispatcher.fail_waiting(pool, error_payload(error))
        pool.fail_waiters(error)

    # ---- stopping

    def stop(self, instance: Instance, *, grace_s: float, reason: str, finish_s: float | None = None) -> None:
        """Drain an instance; when it runs nothing any more, at the latest after `finish_s`, end its process tree."""
        if instance.state in (InstanceState.ERROR, InstanceState.OFFLINE):
            return
        instance.reason = instance.reason or reason
        instance.blameless = True
        instance.drain(grace_s)
        if instance.prepared_at is None:  # nothing of it runs yet
            self._gone(instance, reason)
            return
        self._notify(instance)
        if instance.pid is not None and not instance.stopping:
            instance.stopping = True
            self._spawn(self._stop(instance, grace_s, instance.pool.spec.finish_s if finish_s is None else finish_s))

    async def _stop(self, instance: Instance, grace_s: float, finish_s: float) -> None:
        if instance.load:  # a WebSocket, for one, may stay open for ever
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(finish_s):
                    await instance.emptied.wait()
        await self._launcher.stop(instance.id, grace_s=grace_s)

    def kill(self, instance: Instance, *, reason: str, blame: bool = True) -> None:
        """End an instance's process tree at once; what else it runs is to blame, or is not."""
        instance.reason = instance.reason or reason
        instance.blameless = instance.blameless or not blame
        if (
            instance.pid is None
            and instance.link is None
            and instance.state in (InstanceState.STARTING, InstanceState.ERROR)
        ):
            self._gone(instance, reason)
            return
        if instance.state is InstanceState.IDLE or instance.state is InstanceState.BUSY:
            instance.move(InstanceState.DRAINING)
        self._spawn(self._launcher.kill(instance.id))

    def retire_if_littered(self, instance: Instance) -> None:
        """Replace an instance whose cancelled input left processes behind."""
        if instance.pid is not None and has_children(instance.pid):
            self.stop(instance, grace_s=STOP_GRACE_S, reason="a cancelled input left processes behind")

    def exited(self, exit_: Exit) -> None:
        """The launcher saw an instance's process end. What it sent before comes first, up to the end of its link."""
        instance = self.instances.get(exit_.instance)
        if instance is None:
            return
        instance.exit = _why(instance, exit_)
        if instance.link is not None and instance.link.open:
            asyncio.get_running_loop().call_later(UNREAD_S, self._gone, instance, instance.exit)
        else:
            self._gone(instance, instance.exit)

    def link_lost(self, instance: Instance) -> None:
        """An instance hung up; the launcher's word on why follows in a moment, or it is killed."""
        if instance.exit is not None:
            self._gone(instance, instance.exit)
            return
        if instance.state in (InstanceState.ERROR, InstanceState.OFFLINE):
            return
        instance.spent = True
        asyncio.get_running_loop().call_later(1.0, partial(self._unlinked, instance))

    def _unlinked(self, instance: Instance) -> None:
        if instance.state is not InstanceState.OFFLINE:
            self._error(instance, "its link broke")
            self.kill(instance, reason="its link broke")

    def _gone(self, instance: Instance, reason: str) -> None:
        if instance.state is InstanceState.OFFLINE:
            return
        pool: Pool = instance.pool
        crashed_starting = instance.state is InstanceState.STARTING
        instance.reason = instance.reason or reason
        instance.ended = self._clock.now()
        instance.emptied.set()
        instance.move(InstanceState.OFFLINE)
        self.dispatcher.instance_died(instance, instance.reason)
        pool.instances.pop(instance.id, None)
        self.instances.pop(instance.id, None)
        self.by_token.pop(instance.token, None)
        self._record.instance(instance)
        self.preparer.release(instance)
        self.on_gone(instance)
        self._ended.pop(instance.id).set()
        self._notify(instance)
        asyncio.get_running_loop().call_later(MEMORY_GRACE_S, sweep, self.welcome.arena, instance.id)
        if crashed_starting:
            text = f"instances die before they are ready: {instance.reason}"
            self._note_failure(instance, error_payload(InstanceDiedError(text)), instance.reason, final=False)
        self.logs.end(instance)
        self.places.freed()
        pool.pump_soon()

    async def wait_ended(self, instance_id: str) -> None:
        """Return when this instance's process tree is gone."""
        event = self._ended.get(instance_id)
        if event is not None:
            await event.wait()

    # ---- time

    def running_call(self, instance_id: str) -> str:
        """The only call that an instance runs now, "" for none or several; asked from another thread, so a guess."""
        instance = self.instances.get(instance_id)
        if instance is None or instance.slots != 1 or not instance.tasks:
            return ""
        try:
            return next(iter(instance.tasks))[0]
        except (RuntimeError, StopIteration):
            return ""

    def beat(self, instance: Instance) -> None:
        instance.last_beat = self._clock.monotonic()

    def tick(self) -> None:
        """Everything that time alone brings about; a few times a second."""
        now = self._clock.monotonic()
        self._forgive_standstill(now)
        for instance in list(self.instances.values()):
            if instance.state is InstanceState.STARTING:
                self._check_startup(instance, now)
            elif instance.state.live and now - instance.last_beat > self.lease_s:
                self._lose(instance)
        for pool in self._registry.pools():
            if (
                pool.instances
                or pool.backlog
                or pool.held
                or pool.blocked
                or pool.wishes
                or pool.spec.scaling.min_instances
            ):
                pool.pump()
                pool.scale()
        self._close_unused(now)

    def _forgive_standstill(self, now: float) -> None:
        """This process was stopped, or the machine slept: what instances sent meanwhile is unread, so no lease has run out."""
        gap, self._ticked = now - self._ticked, now
        if gap > LATE_S:
            for instance in self.instances.values():
                instance.last_beat += gap
                instance.started_at += gap
                instance.prepared_at = instance.prepared_at and instance.prepared_at + gap
                instance.last_progress = now

    def recall_stalled(self) -> None:
        for pool in self._registry.pools():
            if pool.instances:
                pool.recall_stalled()

    def _check_startup(self, instance: Instance, now: float) -> None:
        limit = instance.pool.spec.start_s
        if instance.prepared_at is not None and now - instance.prepared_at > limit:
            text = f"not ready within startup_timeout={limit:g} s; raise it, or make the module's import and @enter hooks faster"
            self._failed_to_start(instance, error_payload(StartupTimeoutError(text)), text, final=True)

    def _lose(self, instance: Instance) -> None:
        """A lease ran out: its inputs go elsewhere, and what it still sends is stale."""
        reason = f"no heartbeat for {self.lease_s:g} s"
        self._error(instance, reason)
        if instance.link is not None:
            instance.link.abort()
        self.dispatcher.instance_died(instance, reason)
        self.kill(instance, reason=reason)

    def _error(self, instance: Instance, reason: str) -> None:
        if instance.state.live:
            instance.reason = instance.reason or reason
            instance.move(InstanceState.ERROR)
            self._record.instance(instance)
            self._notify(instance)

    # ---- the whole

    async def close(self, *, grace_s: float) -> None:
        """Let what runs finish for `grace_s`, end the rest; returns when all is gone. Durable inputs go on after a restart."""
        self._closing = True
        for instance in list(self.instances.values()):
            self.stop(instance, grace_s=grace_s, reason="the server stops")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                while self.instances:
                    await self.wait_ended(next(iter(self.instances)))
        await self._launcher.close()
        for task in list(self._tasks):
            task.cancel()

    @property
    def occupied(self) -> Machine:
        return self.places.occupied

    def _notify(self, instance: Instance) -> None:
        self.changed("instance", instance.id, instance.state.value)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("fleet_task_failed", exc_info=task.exception())


def _pauses(failed: int) -> tuple[float, float]:
    """How long after so many failed starts in a row one waits with the next: where somebody waits, and where nobody does."""
    grown = 2.0 ** min(failed - 1, 10)
    return min(_MAX_PAUSE_S, 0.1 * grown), min(_MAX_PAUSE_UNASKED_S, grown)


def _evict(fleet: Fleet, instance: Instance, reason: str) -> None:
    fleet.stop(instance, grace_s=STOP_GRACE_S, reason=reason)


def _shares(launcher: Launcher) -> Callable[[FunctionSpec], bool]:
    return lambda spec: launcher.network(spec) == "host"


def _why(instance: Instance, exit_: Exit) -> str:
    if exit_.reason == "oom":
        return "out of memory: it used more than its memory limit"
    if exit_.signal:
        return f"killed by signal {exit_.signal}" + (", perhaps for want of memory" if exit_.signal == 9 else "")
    if exit_.code == 0 and instance.state is InstanceState.DRAINING:
        return "drained"
    return f"exited with code {exit_.code}"
