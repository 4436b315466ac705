"""What dispatch writes to the store and reads back: calls, inputs, attempts, instances. Nothing is acknowledged before it is here."""

import asyncio
import logging
import math
import sys
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple
from weakref import WeakValueDictionary

from freehold.core.clock import Clock
from freehold.core.errors import DataLossError, ResourceExhaustedError, ServiceError
from freehold.core.ids import made_at
from freehold.core.placement import cpu_of, memory_of
from freehold.core.states import CallState
from freehold.protocol.frames import Accepted, Format, Output, Payload, Refused, RemoteFailure, Status, Subscribe
from freehold.protocol.payload import decode_failure, decode_payload, encode_failure, encode_payload, payload_bytes
from freehold.server.dispatch.instance import Instance
from freehold.server.dispatch.task import LiveCall, Subscriber, Task
from freehold.server.store import writes
from freehold.server.store.contract import Store, Write
from freehold.server.store.reads import Reads
from freehold.server.store.rows import AttemptRow, CallRow, InputRow, InstanceRow

log = logging.getLogger("freehold.record")
KEEP_RESULT_BYTES = (
    4 * 1024 * 1024
)  # of a result in its row; above it `remote` answers its caller only, `spawn` keeps a blob
_RETRY_S = 0.5
_MOST_EXPIRED = 1000
_CLEARS = (ResourceExhaustedError, DataLossError, ServiceError)  # of a disk that is full or fails: they may go away
STATUS = {
    CallState.SUCCEEDED: Status.OK,
    CallState.FAILED: Status.ERROR,
    CallState.TIMED_OUT: Status.TIMEOUT,
    CallState.CANCELLED: Status.CANCELLED,
}


class Past(NamedTuple):
    """What is recorded of a call."""

    outcomes: list[InputRow]  # without their results
    gone: set[int]  # inputs that succeeded, whose value is nowhere and may be made again


class Record:
    """The durable side of dispatch."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.observe: Callable[[LiveCall, Task, float], None] = lambda _call, _task, _ended: None
        self.keep_s = math.inf  # how long final calls are kept
        self.written = 0  # units so far; whoever sees it grow knows that something was recorded
        self._store, self._clock = store, clock
        self._turns: WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = WeakValueDictionary()
        self._reads = Reads(store)

    @property
    def fault(self) -> str | None:
        """Why nothing can be recorded now, such as a full disk; None when all is well."""
        return self._store.fault

    # ---- writes

    def noticed(self, call: LiveCall) -> None:
        """Give a call that its client would send again a row, so that it is seen."""
        call.noted = True
        self._keep_trying([writes.put_calls([_call_row(call)])], lambda: None)

    def created(self, call: LiveCall, subscriber: Subscriber, *, refused: Callable[[], object] = lambda: None) -> None:
        """Make a call durable with all its inputs; its subscriber hears when it is, or that it can't be."""
        call.noted = call.persisted = True
        tasks, count = list(call.tasks.values()), call.last_index + 1

        def done(error: Exception | None) -> None:
            if error is None:
                subscriber.send(Accepted(call.id, count))
            else:
                subscriber.send(Refused(call.id, "resource_exhausted", str(error)))
                refused()

        self._store.write_then(
            [writes.put_calls([_call_row(call)]), writes.put_inputs([_input_row(t) for t in tasks])], done
        )

    def extended(self, call: LiveCall, tasks: Sequence[Task]) -> None:
        """Add inputs to a durable call; who spawned it hears when they are durable too."""
        ops, count = [writes.put_calls([_call_row(call)])], call.last_index + 1
        if tasks:
            ops.append(writes.put_inputs([_input_row(t) for t in tasks]))
        self._keep_trying(ops, lambda: call.tell(Accepted(call.id, count)))

    def finished(
        self, task: Task, payload: Payload, *, error: str | None, ended: float, then: Callable[[], None], alone: Callable[[], object] | None = None
    ) -> None:  # fmt: skip
        """Record the outcome of an input, once; `then` runs after the commit, and `alone` as `Store.write_then` has it."""
        call = task.call
        ops = [writes.put_inputs([_outcome_row(task, payload, error, ended)])]
        if call.done or not call.noted:
            call.noted = True
            ops.append(writes.put_calls([_call_row(call)]))
        self.observe(call, task, ended)
        self._keep_trying(ops, then, alone)

    def completed(self, call: LiveCall, then: Callable[[], None]) -> None:
        """Record the end of a call whose inputs are all final."""
        self._keep_trying([writes.put_calls([_call_row(call)])], then)

    def attempt(self, task: Task, state: CallState, error: str | None, ended: float) -> None:
        """Record an attempt that another one follows."""
        row = AttemptRow(task.call.id, task.index, task.attempt, state, task.instance, task.started, ended, error)
        self._keep_trying([writes.insert_attempts([row])], lambda: None)

    def instance(self, instance: Instance) -> None:
        self._keep_trying([writes.put_instances([instance_row(instance)])], lambda: None)

    def web_call(self, row: CallRow, then: Callable[[], object]) -> None:
        """Record a web request; `then` it can be read. It is not retried, since nobody waits for it."""

        def done(error: Exception | None) -> None:
            _log_error(error)
            then()

        self.written += 1
        self._store.write_then([writes.put_calls([row])], done)

    def _keep_trying(
        self, ops: list[Write], then: Callable[[], None], alone: Callable[[], object] | None = None
    ) -> None:
        self.written += 1
        _Trying(self._store, ops, then, alone).write()

    # ---- reads

    def turn(self, workspace: str, function_id: str, key: str) -> asyncio.Lock:
        """Whoever looks a key or an id up and then submits holds this meanwhile: two with one key are one call."""
        return self._turns.setdefault((workspace, function_id, key), asyncio.Lock())

    async def find(self, workspace: str, call_id: str, function_id: str, key: str) -> CallRow | None:
        """The call of this id or idempotency key, if it was here before."""
        row = await self._reads.call(workspace, call_id)
        if row is None and key:
            row = await self._reads.call_by_key(workspace, function_id, key)
        return row

    async def replay(
        self,
        subscriber: Subscriber,
        call_id: str,
        row: CallRow,
        wanted: Collection[int] | None = None,
        *,
        rerun: bool = False,
    ) -> "Past":
        """Send recorded outcomes of `row`, the `wanted` or all, under the id that the client knows; return all there are.

        `rerun`: those whose value was not kept, and whose caller asks again, are not sent: they may run again.
        """
        past: list[InputRow] = []
        gone: set[int] = set()
        after, stop = (wanted.start - 1, wanted.stop) if isinstance(wanted, range) else (-1, sys.maxsize)
        while after < stop - 1 and (batch := await self._reads.outcomes(row.id, after=after)):
            for outcome in batch:
                if rerun and _unkept(row, outcome) and (wanted is None or outcome.idx in wanted):
                    gone.add(outcome.idx)
                    continue
                if wanted is None or outcome.idx in wanted:
                    subscriber.send(_output(call_id, outcome))
                past.append(outcome._replace(result=None))
            after = batch[-1].idx
        if row.state.final:
            told = gone.union(outcome.idx for outcome in past)
            for index in range(row.inputs) if wanted is None else wanted:
                if index not in told:
                    subscriber.send(_lost(call_id, index, row))
        return Past(past, gone)

    async def subscribe(self, subscriber: Subscriber, workspace: str, message: Subscribe, *, live: bool) -> None:
        """Answer `Subscribe` with what is recorded; what is to come follows by itself when the call is live."""
        row = await self._reads.call(workspace, message.call)
        if row is None:
            if not live:
                self._unknown(subscriber, message)
            return
        if message.until >= 0:
            until = min(message.until, row.inputs) if row.state.final else message.until
            await self.replay(subscriber, message.call, row, range(max(0, message.index), until))
            return
        if message.index < 0:
            await self.replay(subscriber, message.call, row)
            return
        outcome = await self._reads.input(message.call, message.index)
        if outcome is not None and outcome.state.final:
            subscriber.send(_output(message.call, outcome))
        elif row.state.final:
            subscriber.send(_lost(message.call, message.index, row))

    def _unknown(self, subscriber: Subscriber, message: Subscribe) -> None:
        """Answer for a call that was forgotten, as its id tells, or never was."""
        made = made_at(message.call, "fc")
        if made is None or made > self._clock.now() - self.keep_s:
            subscriber.send(Refused(message.call, "not_found", f"no call {message.call!r}"))
            return
        text = f"the results of call {message.call} are kept no longer: FREEHOLD_CALL_RETENTION_DAYS={self.keep_s / 86_400:g}"
        for index in range(max(0, message.index), max(message.index + 1, message.until, 1))[:_MOST_EXPIRED]:
            subscriber.send(Output(message.call, index, Status.ERROR, _expired(text)))


def _unkept(call: CallRow, outcome: InputRow) -> bool:
    """Whether an input succeeded with a value that went to its first caller only."""
    return call.kind in ("remote", "map") and outcome.state is CallState.SUCCEEDED and outcome.result is None


def large(payload: Payload) -> bool:
    """Whether a result holds more itself, beside what lies in shared memory or blobs, than its row may; JSON is asked for again."""
    return (
        payload.format != Format.JSON
        and len(payload.data) + sum(len(b.data) for b in payload.buffers) > KEEP_RESULT_BYTES
    )


class _Trying:
    """Writes until it is committed: what ran once must be known, so a full disk delays answers and loses none.

    No closure that names itself, which only the collector would free, with the whole call that hangs on it.
    """

    __slots__ = ("_alone", "_ops", "_store", "_then")

    def __init__(
        self, store: Store, ops: list[Write], then: Callable[[], None], alone: Callable[[], object] | None
    ) -> None:
        self._store, self._ops, self._then, self._alone = store, ops, then, alone

    def write(self) -> None:
        self._store.write_then(self._ops, self._done, alone=self._alone)

    def _done(self, error: Exception | None) -> None:
        if error is not None:
            log.error("write_failed", extra={"error.type": type(error).__name__, "detail": str(error)})
        if not isinstance(error, _CLEARS):
            self._then()  # committed; or refused for good, which waiting would not mend
            return
        asyncio.get_running_loop().call_later(_RETRY_S, self.write)


def _output(call_id: str, row: InputRow) -> Output:
    if row.result is None:
        text = "the result went to its first caller only, or is no longer kept"
        return Output(call_id, row.idx, Status.ERROR, _expired(text))
    return Output(call_id, row.idx, STATUS[row.state], decode_payload(row.result))


def _lost(call_id: str, index: int, row: CallRow) -> Output:
    """An input that its call outlived: it has no outcome, and never will."""
    text = f"call {row.id} ended without this input's outcome: {row.error or 'its record is gone'}"
    failure = RemoteFailure("freehold.exception.ServiceError", text, "", ServiceError.code)
    return Output(call_id, index, Status.ERROR, Payload(encode_failure(failure)))


def _expired(text: str) -> Payload:
    return Payload(
        encode_failure(RemoteFailure("freehold.exception.OutputExpiredError", text, "", "deadline_exceeded"))
    )


def _call_row(call: LiveCall) -> CallRow:
    return CallRow(
        call.id, call.workspace, call.app_id, call.app_name, call.function_id, call.function_name, call.kind, call.state, call.created,
        call.started, call.ended, call.total, call.succeeded, call.failed, call.parent or None, call.error, call.version, call.key or None,
        call.parameters, call.digest, call.more, call.variant or None, call.parent_index if call.parent else None,
    )  # fmt: skip


def _input_row(task: Task) -> InputRow:
    return InputRow(
        task.call.id, task.index, task.state, task.attempt, task.method, task.created, task.started, None, task.instance,
        payload_bytes(task.payload), args=encode_payload(task.payload),
    )  # fmt: skip


def _outcome_row(task: Task, payload: Payload, error: str | None, ended: float) -> InputRow:
    kept = not large(payload) and not any(b.kind == "arena" for b in payload.buffers)
    traceback = None
    if task.state is not CallState.SUCCEEDED:
        traceback = decode_failure(payload).traceback or None
    return InputRow(
        task.call.id, task.index, task.state, task.attempt, task.method, task.created, task.started, ended, task.instance,
        payload_bytes(task.payload), payload_bytes(payload), error, traceback, None, encode_payload(payload) if kept else None,
    )  # fmt: skip


def instance_row(instance: Instance) -> InstanceRow:
    pool = instance.pool
    resources = pool.spec.resources
    return InstanceRow(
        instance.id, pool.workspace, pool.app_id, pool.app_name, pool.function_id, pool.function_name, pool.version, instance.state,
        instance.created, instance.ready, instance.ended, instance.reason, instance.pid, instance.slots,
        tuple(f"{d.type} {d.id}" for d in instance.devices), instance.phases, cpu_of(resources), memory_of(resources),
        any(d.simulated for d in instance.devices), pool.key,
    )  # fmt: skip


def _log_error(error: Exception | None) -> None:
    if error is not None:
        log.error("write_failed", extra={"error.type": type(error).__name__, "detail": str(error)})
