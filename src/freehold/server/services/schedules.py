"""Calls functions when their schedules say so. One task owns it; where each schedule stands is in the store.

A moment that is due is called once: its call has the moment as its idempotency key, and is on disk before the schedule moves on. However many
moments passed while nobody could call, one call makes up for them.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from freehold.core.clock import Clock
from freehold.core.errors import Error, InvalidError
from freehold.core.ids import new_id
from freehold.core.schedule import following, shortest_s
from freehold.core.specs import FunctionSpec, Schedule
from freehold.protocol.errors import from_wire
from freehold.protocol.frames import Input, Payload, Refused, Submit
from freehold.server.cron import cron_following
from freehold.server.dispatch.dispatcher import Dispatcher
from freehold.server.dispatch.record import Record
from freehold.server.dispatch.registry import LiveApp, LiveFunction, Registry, Timing
from freehold.server.dispatch.task import LiveCall
from freehold.server.store import writes
from freehold.server.store.contract import Store, Write
from freehold.server.store.reads import Reads
from freehold.server.store.rows import ScheduleRow

log = logging.getLogger("freehold.schedules")
NO_ARGUMENTS = b"\x80\x05\x95\x06\x00\x00\x00\x00\x00\x00\x00)}\x94\x86\x94."  # as the SDK pickles them
AGAIN_S = 5.0  # after a call that was refused
_LOOK_S = 1.0  # how long a clock that was set goes unnoticed
_KEY = "schedule/"


class Schedules:
    """The schedules of all live functions."""

    def __init__(
        self, *, registry: Registry, dispatcher: Dispatcher, record: Record, store: Store, clock: Clock
    ) -> None:
        self._registry, self._dispatcher, self._record, self._store, self._clock = (
            registry,
            dispatcher,
            record,
            store,
            clock,
        )
        self._changed = asyncio.Event()

    # ---- of apps that come and go

    def begin(self, app: LiveApp) -> Sequence[Write]:
        """Let the schedules of a version that is about to take over count from now; return what writes it down."""
        now, rows = self._clock.now(), list[ScheduleRow]()
        for function in app.functions.values():
            if function.spec.schedule is not None:
                due = _following(function.spec.schedule, base=now, after=now)
                function.timing = Timing(base=now, due=due)
                rows.append(ScheduleRow(function.id, app.id, now, due))
        return [writes.delete_schedules(app.id), *([writes.put_schedules(rows)] if rows else [])]

    def changed(self) -> None:
        """Versions have taken over."""
        self._changed.set()

    async def restore(self) -> None:
        """Take up the schedules of restored apps where they stood."""
        kept = {row.function_id: row for row in await Reads(self._store).schedules()}
        now = self._clock.now()
        for function in self._registry.functions.values():
            schedule, row = function.spec.schedule, kept.get(function.id)
            if schedule is not None:
                base = row.base if row else now
                due = row.due if row else _following(schedule, base=base, after=now)
                function.timing = Timing(base=base, due=due)

    # ---- calling

    async def run(self) -> None:
        """Call what is due, for ever."""
        while True:
            self._changed.clear()
            try:
                await self.call_due()
            except Exception:
                log.exception("schedules_failed")
                await asyncio.sleep(AGAIN_S)
            try:
                async with asyncio.timeout(self._wait_s()):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def call_due(self) -> None:
        """Call every function that is due now."""
        now = self._clock.now()
        due = [(f, t) for f, t in self._timed() if max(t.due, t.not_before) <= now]
        await asyncio.gather(*(self._call(function, timing) for function, timing in due))

    def _wait_s(self) -> float:
        now = self._clock.now()
        return max(0.0, min([_LOOK_S, *(max(t.due, t.not_before) - now for _, t in self._timed())]))

    def _timed(self) -> list[tuple[LiveFunction, Timing]]:
        return [(f, f.timing) for f in self._registry.functions.values() if f.timing is not None]

    async def _call(self, function: LiveFunction, timing: Timing) -> None:
        """Call one that is due; whatever goes wrong with it is its own, and it is tried again."""
        about = {"app": function.app.name, "function": function.name}
        try:
            await self._call_and_move_on(function, timing)
        except Error as error:
            timing.not_before = self._clock.now() + AGAIN_S
            log.warning("scheduled_call_refused", extra={**about, "detail": str(error)})
        except Exception:
            timing.not_before = self._clock.now() + AGAIN_S
            log.exception("scheduled_call_failed", extra=about)

    async def _call_and_move_on(self, function: LiveFunction, timing: Timing) -> None:
        schedule, due = function.spec.schedule, timing.due
        assert schedule is not None
        called = await self._call_once(function, f"{_KEY}{due!r}")
        # what a server before called, it could perhaps not move on from; what else passed meanwhile was missed
        after = max(due, self._clock.now()) if called else due
        timing.due = _following(schedule, base=timing.base, after=after)
        await self._store.write(writes.set_schedule_due(function.id, timing.base, timing.due))

    async def _call_once(self, function: LiveFunction, key: str) -> bool:
        """Have a call with this key on disk; False when there was one."""
        workspace = function.app.workspace
        if self._dispatcher.keyed(workspace, function.id, key) is not None:
            return False
        if await self._record.find(workspace, "", function.id, key) is not None:
            return False
        if self._registry.functions.get(function.id) is not function:
            return True  # a version that took over meanwhile has its own times
        message = Submit(new_id("fc"), function.id, "spawn", [Input(0, Payload(NO_ARGUMENTS))], key=key)
        told = _Told()
        self._dispatcher.submit(told, message, workspace=workspace)
        await told.accepted
        return True


class _Told:
    """A subscriber that waits for a call to be accepted."""

    def __init__(self) -> None:
        self.accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.name, self.local, self.calls = "schedule", False, set[LiveCall]()

    def send(self, message: Any) -> None:
        if self.accepted.done():
            return
        if isinstance(message, Refused):
            self.accepted.set_exception(from_wire(message.code, message.message))
        else:
            self.accepted.set_result(None)

    def send_now(self, message: Any) -> bool:  # noqa: ARG002 (it is woken on the loop's own thread)
        return False


def check_schedule(spec: FunctionSpec, now: float) -> None:
    """InvalidError for a schedule that cannot be, or that stands on what cannot have one."""
    if spec.schedule is None:
        return
    if spec.kind != "function" or spec.web is not None or spec.is_generator:
        raise InvalidError(
            f"function {spec.name!r}: a schedule is for a plain function, not for a class, a generator or a web endpoint"
        )
    if (spec.schedule.period is None) == (spec.schedule.cron is None):
        raise InvalidError(f"function {spec.name!r}: a schedule is either a period or a cron line")
    if spec.schedule.period is not None and shortest_s(spec.schedule.period) <= 0:
        raise InvalidError(f"function {spec.name!r}: the period of its schedule is empty")
    try:
        _following(spec.schedule, base=now, after=now)
    except (InvalidError, OverflowError, ValueError) as error:
        raise InvalidError(f"function {spec.name!r}: {error}") from None


def is_scheduled(call: LiveCall) -> bool:
    """Whether a schedule made this call."""
    return call.key.startswith(_KEY)


def _following(schedule: Schedule, *, base: float, after: float) -> float:
    return following(schedule, base=base, after=after, cron=cron_following)
