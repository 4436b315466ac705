"""After a restart: what the server before left in the store goes on, or gets an end that says why."""

import logging
from collections.abc import Sequence

from freehold.core.clock import Clock
from freehold.core.errors import InvalidError
from freehold.core.states import CallState
from freehold.protocol.payload import decode_payload
from freehold.server.dispatch.dispatcher import Dispatcher
from freehold.server.dispatch.fleet import Fleet
from freehold.server.dispatch.pool import Pool
from freehold.server.dispatch.registry import LiveFunction, Registry
from freehold.server.dispatch.task import DIED, LiveCall, Task
from freehold.server.store import writes
from freehold.server.store.contract import Store
from freehold.server.store.reads import Reads
from freehold.server.store.rows import AttemptRow, CallRow, InputRow, UnfinishedCall

log = logging.getLogger("freehold.restart")
ORPHAN_GRACE_S = 30.0


async def resume_calls(
    *, store: Store, registry: Registry, fleet: Fleet, dispatcher: Dispatcher, clock: Clock
) -> list[CallRow]:
    """Queue again the inputs of durable calls. Return the calls that only their client can bring back."""
    orphans: list[CallRow] = []
    resumed: list[LiveCall] = []
    for left in await Reads(store).unfinished():
        function = registry.functions.get(left.call.function_id)
        if left.call.kind == "web" or function is None:
            why = "the server restarted while it was served" if left.call.kind == "web" else "its app no longer runs"
            await store.write(writes.put_calls([ended(left.call, why, clock.now())]))
        elif not left.inputs and not left.call.more and left.call.succeeded + left.call.failed >= left.call.inputs:
            state = CallState.SUCCEEDED if not left.call.failed else CallState.FAILED
            await store.write(writes.put_calls([left.call._replace(state=state, ended=clock.now())]))
        elif not left.inputs:
            orphans.append(left.call)
        elif isinstance(pool := _pool(left.call, function, registry, fleet), str):
            await store.write(writes.put_calls([ended(left.call, pool, clock.now())]))
        else:
            resumed.append(_live(left, pool))
    for call in resumed:
        dispatcher.adopt(call)
    if resumed or orphans:
        log.info("calls_resumed", extra={"resumed": len(resumed), "awaiting_client": len(orphans)})
    return orphans


async def end_orphans(orphans: list[CallRow], *, store: Store, dispatcher: Dispatcher, clock: Clock) -> None:
    """Give an end to calls whose client did not come back."""
    rows = [
        ended(c, "the server restarted, and its client did not come back", clock.now())
        for c in orphans
        if c.id not in dispatcher.calls
    ]
    if rows:
        await store.write(writes.put_calls(rows))


def ended(call: CallRow, why: str, now: float) -> CallRow:
    return call._replace(state=CallState.FAILED, ended=now, error=why)


def _pool(call: CallRow, function: LiveFunction, registry: Registry, fleet: Fleet) -> Pool | str:
    """Where a call goes on, or why it cannot."""
    variant = call.variant or ""
    if not registry.has_variant(function.app.workspace, variant):
        return "the overrides that it ran with are gone"
    try:
        return fleet.pool(function, call.parameters, variant)
    except InvalidError as error:
        return str(error)


def _live(left: UnfinishedCall, pool: Pool) -> LiveCall:
    row = left.call
    call = LiveCall(row.id, row.kind, workspace=row.workspace, created=row.created)
    call.app_id, call.app_name, call.function_id, call.function_name = (
        row.app_id,
        row.app,
        row.function_id,
        row.function,
    )
    call.version, call.parent, call.key, call.parameters = row.version, row.parent or "", row.key or "", row.parameters
    call.variant, call.parent_index = row.variant or "", row.parent_index or 0
    call.pool, call.digest = pool, row.options
    call.noted = call.persisted = True
    call.total, call.succeeded, call.failed = row.inputs, row.succeeded, row.failed
    call.last_index, call.more = row.inputs - 1, row.more
    if row.failed:
        call.result_state, call.error = CallState.FAILED, row.error
    call.started = row.started
    past: dict[int, list[AttemptRow]] = {}
    for attempt in left.attempts:
        past.setdefault(attempt.idx, []).append(attempt)
    call.tasks = {i.idx: _task(call, i, past.get(i.idx, ())) for i in left.inputs}
    return call


def _task(call: LiveCall, row: InputRow, past: Sequence[AttemptRow]) -> Task:
    task = Task(call, row.idx, row.method, decode_payload(row.args or b""), row.created)
    # one more may have been begun: the attempt that ran then can record nothing any more
    task.attempt = max([row.attempt, *(a.attempt + 1 for a in past)]) + 1
    task.failures = sum(not (a.error or "").startswith(DIED) for a in past)
    return task
