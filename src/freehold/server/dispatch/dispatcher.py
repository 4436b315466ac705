"""Takes what links bring and moves calls along: admit, run, retry, finish, answer after the commit.

It decides nothing about instances (`fleet`) and keeps nothing durable itself (`record`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from freehold.core.clock import Clock
from freehold.core.environments import root_of
from freehold.core.errors import (
    DataLossError,
    Error,
    InstanceDiedError,
    InvalidError,
    NotFoundError,
    ResourceExhaustedError,
)
from freehold.core.retry import MAX_CRASHES, delay_before_retry
from freehold.core.states import CallState, InstanceState
from freehold.protocol.frames import (
    CancelInput,
    Extend,
    Format,
    Input,
    Item,
    Output,
    Payload,
    Refused,
    Release,
    RemoteFailure,
    Result,
    Returned,
    Status,
    Submit,
)  # fmt: skip
from freehold.protocol.payload import encode_failure, failure_text
from freehold.server.dispatch.index import Index
from freehold.server.dispatch.instance import Instance
from freehold.server.dispatch.pool import Pool
from freehold.server.dispatch.record import STATUS, Record, large
from freehold.server.dispatch.registry import LiveFunction, Registry
from freehold.server.dispatch.task import DIED, LiveCall, Subscriber, Task
from freehold.server.store.rows import InputRow

log = logging.getLogger("freehold.dispatch")
CANCEL_GRACE_S = 2.0
UNHEARD_S = 10.0  # how long a generator goes on for a client that may come back
LEFT_S = 90.0  # how long a call waits for inputs of a client that is gone; clients try to come back for less
_AT_ONCE_BYTES = 64 * 1024  # of a result that the committing thread sends itself
OVERFLOW = 4.0  # times as much as should wait: a client that goes on beyond, though told to wait, is refused


class Fleet(Protocol):
    """The part of the fleet that the dispatcher needs."""

    instances: dict[str, Instance]

    def pool(self, function: LiveFunction, parameters: bytes, variant: str = "") -> Pool: ...

    def kill(self, instance: Instance, *, reason: str, blame: bool = True) -> None: ...

    def retire_if_littered(self, instance: Instance) -> None: ...


class Dispatcher:
    """The life of every call that is not final."""

    def __init__(self, *, registry: Registry, record: Record, fleet: Fleet, clock: Clock) -> None:
        self._index = Index()
        self.calls = self._index.by_id
        self.stale_results = 0
        self.keep_large: Callable[[Payload], Awaitable[Payload]]  # arena buffers of a payload to blobs
        self._keeping: set[asyncio.Task[None]] = set()
        self._registry, self._record, self._fleet, self._clock = registry, record, fleet, clock

    # ---- from clients

    def submit(
        self, subscriber: Subscriber, message: Submit, *, workspace: str, past: Sequence[InputRow] = ()
    ) -> LiveCall | None:
        """Admit a call, or refuse it; `past` are the outcomes that an earlier server recorded of it."""
        known = self.calls.get(message.call)
        if known is not None and known.workspace == workspace:
            self._submitted_again(known, subscriber, message)
            return known
        function = self._registry.functions.get(message.function)
        if known is not None or function is None or root_of(function.app.workspace) != root_of(workspace):
            subscriber.send(
                Refused(
                    message.call,
                    NotFoundError.code,
                    f"no function {message.function!r} runs now; its app may have stopped",
                )
            )
            return None
        if self._record.fault is not None and not message.again:  # its outcome could not be recorded
            subscriber.send(Refused(message.call, ResourceExhaustedError.code, self._record.fault))
            return None
        pool = self._pool(function, message)
        if isinstance(pool, Error):
            subscriber.send(Refused(message.call, pool.code, str(pool)))
            return None
        if pool.full(OVERFLOW if message.more else 1.0):
            subscriber.send(Refused(message.call, ResourceExhaustedError.code, _too_many(pool)))
            return None
        call = self._admit(function, message, workspace, pool)
        call.client = subscriber.name
        call.heard_by(subscriber)
        call.take_past(past)
        tasks = self._tasks(call, message.inputs)
        if message.kind == "spawn":
            self._record.created(call, subscriber, refused=lambda: self.cancel(call.id, reason="it was refused"))
        self._enqueue(tasks)
        self._settle(call)
        return call

    def _pool(self, function: LiveFunction, message: Submit) -> Pool | Error:
        """Where its inputs go, or why nowhere."""
        if not self._registry.has_variant(function.app.workspace, message.variant):
            return NotFoundError(
                f"the overrides of this handle of {function.name!r} are unknown here: call with_options again"
            )
        try:
            return self._fleet.pool(function, message.parameters, message.variant)
        except InvalidError as error:
            return error

    def watch(self, call: LiveCall, subscriber: Subscriber) -> None:
        """Tell one more of a call's outputs; of a spawned call also when it is durable."""
        call.heard_by(subscriber)
        if call.kind == "spawn":
            self._record.created(call, subscriber)

    def _submitted_again(self, call: LiveCall, subscriber: Subscriber, message: Submit) -> None:
        """Its client lost its link meanwhile, and with it perhaps some of the inputs."""
        self.watch(call, subscriber)
        call.pool.held.pop(call.id, None)  # what it was told is lost
        if not call.done:
            self._extend(call, message.inputs, more=message.more)

    def keyed(self, workspace: str, function_id: str, key: str) -> LiveCall | None:
        """The call under way that has this idempotency key."""
        return self._index.keyed(workspace, function_id, key)

    def adopt(self, call: LiveCall) -> None:
        """Go on with a call that the store kept over a restart; its tasks are PENDING."""
        self._index.add(call, self._clock.monotonic())
        for task in call.tasks.values():
            call.pool.add(task)
        if call.more:
            self._close_if_left(call)

    def extend(self, message: Extend, *, workspace: str) -> bool:
        """Take more inputs of a call; False when it takes none, such as one that was cancelled."""
        call = self.calls.get(message.call)
        if call is None or call.workspace != workspace or not call.more:
            return False
        self._extend(call, message.inputs, more=message.more)
        return True

    def _extend(self, call: LiveCall, inputs: Iterable[Input], *, more: bool) -> None:
        call.more = more
        tasks = self._tasks(call, inputs)
        if call.persisted and (tasks or not more):
            self._record.extended(call, tasks)
        self._enqueue(tasks)
        self._settle(call)

    def _settle(self, call: LiveCall) -> None:
        """After inputs came in: end a call that has none, hold back a client that sends faster than its inputs run."""
        pool: Pool = call.pool
        if call.done:
            self._complete(call)
        elif call.more and pool.full():
            if pool.full(OVERFLOW):
                call.tell(Refused(call.id, ResourceExhaustedError.code, _too_many(pool)))
                self.cancel(call.id, reason=_too_many(pool))
            elif call.id not in pool.held:
                pool.hold(call)

    def cancel(self, call_id: str, *, reason: str = "cancelled by its caller", terminate: bool = False) -> bool:
        """Cancel what is not final of a call; False when nothing is."""
        call = self.calls.get(call_id)
        if call is None or call.done:
            return False
        call.more = False
        for task in list(call.tasks.values()):
            self._cancel_task(task, reason, terminate=terminate)
        if call.ended is None and call.done:  # it had no input left, and waited for more of them
            call.result_state, call.error = call.result_state or CallState.CANCELLED, call.error or reason
            self._complete(call)
        return True

    def abandon(self, call_id: str, subscriber: Subscriber) -> None:
        """Its caller waits no more: cancel a call that nobody else waits for."""
        call = self.calls.get(call_id)
        if call is not None:
            call.subscribers = [s for s in call.subscribers if s is not subscriber]
            subscriber.calls.discard(call)
            if not call.subscribers:
                self.cancel(call_id, reason="its client left")

    def _admit(self, function: LiveFunction, message: Submit, workspace: str, pool: Pool) -> LiveCall:
        call = LiveCall(message.call, message.kind, workspace=workspace, created=self._clock.now())
        call.app_id, call.app_name = function.app.id, function.app.name
        method = message.inputs[0].method if message.inputs else ""
        call.function_id, call.function_name = function.id, f"{function.name}.{method}" if method else function.name
        call.version, call.parent, call.key = function.version, message.parent, message.key
        call.parameters, call.digest, call.more = message.parameters, message.digest, message.more
        call.variant, call.parent_index = message.variant, message.parent_index
        call.pool = pool
        self._index.add(call, self._clock.monotonic())
        return call

    def _tasks(self, call: LiveCall, inputs: Iterable[Input]) -> list[Task]:
        """Make the tasks of inputs that are new; a client sends them in their order, and perhaps some again."""
        now = self._clock.now()
        last = call.last_index
        tasks = {i.index: Task(call, i.index, i.method, i.payload, now) for i in inputs if i.index > last}
        call.last_index = max(tasks, default=last)
        call.tasks.update(tasks)
        call.total += len(tasks)
        return list(tasks.values())

    def _enqueue(self, tasks: Iterable[Task]) -> None:
        for task in tasks:
            task.call.pool.add(task)

    def _complete(self, call: LiveCall) -> None:
        """End a call by itself, when no input's end did."""
        call.ended = self._clock.now()
        call.uncommitted += 1
        self._record.completed(call, lambda: self._committed(call))

    def _cancel_task(self, task: Task, reason: str, *, terminate: bool) -> None:
        if task.state is CallState.PENDING:
            self._finish(task, CallState.CANCELLED, _failure("CancelledError", reason, "cancelled"), error=reason)
            return
        instance = self._fleet.instances.get(task.instance or "")
        if instance is None or task.cancelling or instance.tasks.get(task.key) is not task:
            return
        task.cancelling = True
        if terminate:
            self._fleet.kill(instance, reason=reason, blame=False)
            return
        instance.link.send(CancelInput(task.call.id, task.index, task.attempt))
        asyncio.get_running_loop().call_later(CANCEL_GRACE_S, self._cancel_overdue, task, instance, task.attempt)

    def _cancel_overdue(self, task: Task, instance: Instance, attempt: int) -> None:
        if task.state is CallState.RUNNING and task.attempt == attempt and instance.tasks.get(task.key) is task:
            why = "an input did not stop within the grace of its cancellation"
            self._fleet.kill(instance, reason=why, blame=False)

    # ---- from instances

    def result(self, instance: Instance, message: Result) -> None:
        """Take the outcome of an attempt; a stale one changes nothing."""
        task = instance.tasks.get((message.call, message.index))
        if task is None or task.attempt != message.attempt:
            self.stale_results += 1
            return
        del instance.tasks[task.key]
        task.started = message.started
        status = message.status
        if task.cancelling:
            self._end_cancelled(task)
            self._fleet.retire_if_littered(instance)
        elif status in (Status.OK, Status.GENERATOR_DONE):
            self._succeeded(instance, task, message)
        elif status == Status.TIMEOUT:
            self._attempt_failed(task, CallState.TIMED_OUT, message.payload, message.ended)
            if instance.pool.spec.concurrency.max_inputs == 1 or not instance.tasks:
                why = f"an input ran past its timeout of {instance.pool.spec.timeout_s:g} s"
                self._fleet.kill(instance, reason=why, blame=False)
            else:
                self._fleet.retire_if_littered(instance)
        elif status == Status.CANCELLED:
            self._finish(task, CallState.CANCELLED, message.payload, error="cancelled")
        else:
            self._attempt_failed(task, CallState.FAILED, message.payload, message.ended)
        instance.pool.ended(instance, message.ended - message.started)

    def _succeeded(self, instance: Instance, task: Task, message: Result) -> None:
        """Finish; what nobody may be there to take from shared memory is brought to disk first."""
        shared = [b.segment for b in message.payload.buffers if b.kind == "arena"]

        def finish(payload: Payload) -> None:
            self._finish(
                task, CallState.SUCCEEDED, payload, status=message.status, keep=message.keep, ended=message.ended
            )

        async def keep_large() -> None:
            try:
                payload = await self.keep_large(message.payload)
            except Exception as error:
                log.exception("result_not_kept", extra={"call": task.call.id, "instance": instance.id})
                lost = DataLossError(f"the result could not be brought from shared memory to disk: {error}")
                self._attempt_failed(task, CallState.FAILED, error_payload(lost), message.ended)
            else:
                finish(payload)
            if instance.link is not None:
                instance.link.send(Release(shared))

        heard = task.call.subscribers
        far = task.call.kind == "spawn" or not heard or not all(s.local for s in heard)
        if far and (shared or large(message.payload)):
            work = asyncio.get_running_loop().create_task(keep_large())
            self._keeping.add(work)
            work.add_done_callback(self._keeping.discard)
        else:
            finish(message.payload)

    def item(self, instance: Instance, message: Item) -> None:
        """Pass on what a generator yielded."""
        task = instance.tasks.get((message.call, message.index))
        if task is None or task.attempt != message.attempt:
            return
        task.items += 1
        instance.last_progress = self._clock.monotonic()
        task.call.tell(message)

    def returned(self, instance: Instance, message: Returned) -> None:
        """Queue again what an instance gave back unbegun."""
        back: list[Task] = []
        for call_id, index, attempt in message.inputs:
            task = instance.tasks.get((call_id, index))
            if task is not None and task.attempt == attempt:
                del instance.tasks[task.key]
                self._requeue(task, back)
        if not instance.load:
            instance.pool.settle(instance, self._clock.monotonic())
        self._put_back(instance, back)

    def instance_died(self, instance: Instance, reason: str) -> None:
        """Requeue what a dead instance held; what it had begun counts a crash, unless it was ended on purpose."""
        held, instance.tasks = list(instance.tasks.values()), {}
        back: list[Task] = []
        for place, task in enumerate(held):
            begun = place < instance.slots
            task.alone = task.call.pool.crashed = True
            if task.cancelling:
                self._end_cancelled(task)
                continue
            if begun:
                task.crashes += not instance.blameless
                self._record.attempt(task, CallState.FAILED, DIED + reason, self._clock.now())
            if begun and (task.crashes >= MAX_CRASHES or task.items):
                text = f"instance {instance.id} died while it ran this input ({reason}); attempt {task.attempt} was the last"
                self._finish(task, CallState.FAILED, _failure(InstanceDiedError.__name__, text, "aborted"), error=text)
                continue
            task.attempt += begun
            self._requeue(task, back)
        self._put_back(instance, back)

    def fail_waiting(self, pool: Pool, failure: Payload) -> None:
        """End every input that waits in a pool whose instances can't start."""
        for task in pool.queue.clear():
            self._finish(task, CallState.FAILED, failure, error=failure_text(failure))

    def _requeue(self, task: Task, back: list[Task]) -> None:
        if task.cancelling:
            self._end_cancelled(task)
            return
        task.move(CallState.PENDING)
        task.instance = None
        back.append(task)

    def _put_back(self, instance: Instance, tasks: Iterable[Task]) -> None:
        """Queue inputs again where their call is now: perhaps in the pool of a newer version."""
        pools: dict[Pool, list[Task]] = {instance.pool: []}
        for task in tasks:
            pools.setdefault(task.call.pool, []).append(task)
        for pool, back in pools.items():
            pool.put_back(back)

    # ---- ends

    def _end_cancelled(self, task: Task) -> None:
        failure = _failure("CancelledError", "the call was cancelled", "cancelled")
        self._finish(task, CallState.CANCELLED, failure, error="cancelled")

    def _attempt_failed(self, task: Task, state: CallState, payload: Payload, ended: float) -> None:
        task.failures += 1
        pool: Pool = task.call.pool
        delay = (
            None
            if task.items or task.call.kind == "generator"
            else delay_before_retry(pool.spec.retries, task.failures)
        )
        error = failure_text(payload)
        if delay is None:
            self._finish(task, state, payload, error=error, ended=ended)
            return
        self._record.attempt(task, state, error, ended)
        task.attempt += 1
        task.move(CallState.PENDING)
        task.instance = None
        asyncio.get_running_loop().call_later(delay, self._retry, task, task.attempt)

    def _retry(self, task: Task, attempt: int) -> None:
        if task.state is CallState.PENDING and task.attempt == attempt:
            task.call.pool.add(task)

    def _finish(
        self, task: Task, state: CallState, payload: Payload, *, status: int | None = None, error: str | None = None,
        ended: float | None = None, keep: list[str] | None = None,
    ) -> None:  # fmt: skip
        """Make an input final; its caller hears of it when that is committed."""
        call = task.call
        if task.state is CallState.PENDING:
            call.pool.queue.discard(task)
        task.move(state)
        call.tasks.pop(task.index, None)
        call.note_end(state, error)
        call.uncommitted += 1
        ended = ended or self._clock.now()
        if call.done:
            call.ended = ended
        output = Output(call.id, task.index, STATUS[state] if status is None else status, payload, keep or [])
        answer = _Answer(call, output)
        self._record.finished(
            task, payload, error=error, ended=ended, then=lambda: self._answer(answer), alone=answer.send_now
        )

    def _answer(self, answer: "_Answer") -> None:
        answer.send()
        self._committed(answer.call)

    def _committed(self, call: LiveCall) -> None:
        call.uncommitted -= 1
        if call.done and not call.uncommitted:
            self._index.remove(call)

    # ---- housekeeping

    def dropped(self, subscriber: Subscriber) -> None:
        """A client's link is gone: its calls run on, their results stay in the store. Items of generators are kept nowhere."""
        for call in subscriber.calls:
            call.subscribers = [s for s in call.subscribers if s.calls is not subscriber.calls]
            if call.kind == "generator" and not call.subscribers:
                asyncio.get_running_loop().call_later(UNHEARD_S, self._cancel_unheard, call)
            elif call.more and not call.subscribers:
                self._close_if_left(call)
        subscriber.calls.clear()

    def _close_if_left(self, call: LiveCall) -> None:
        """A client that has not sent all inputs may come back; if it does not, what it has sent is all there is."""

        def close() -> None:
            if call.more and not call.subscribers:
                self._extend(call, (), more=False)

        asyncio.get_running_loop().call_later(LEFT_S, close)

    def _cancel_unheard(self, call: LiveCall) -> None:
        if not call.subscribers:
            self.cancel(call.id, reason="its client left")

    def notice_long_running(self, older_than_s: float) -> None:
        """Give calls that run for a while a row, so that they are seen. Their clients send them again if the server ends."""
        for call in self._index.grown(self._clock.monotonic() - older_than_s):
            if not call.noted:
                self._record.noticed(call)

    def overdue(self, slack_s: float) -> list[tuple[Instance, Task]]:
        """Inputs whose instance should have reported a timeout long ago."""
        now = self._clock.monotonic()
        found: list[tuple[Instance, Task]] = []
        for instance in self._fleet.instances.values():  # those of versions that were replaced, too
            if not instance.tasks or instance.state not in (InstanceState.BUSY, InstanceState.DRAINING):
                continue
            begun = list(instance.tasks.values())[: instance.slots]
            limit = instance.pool.spec.timeout_s + slack_s
            found += [(instance, t) for t in begun if now - max(t.sent, instance.last_progress) > limit]
        return found

    def time_out(self, instance: Instance, task: Task) -> None:
        """End an attempt that its instance failed to end."""
        if instance.tasks.pop(task.key, None) is None:
            return
        text = f"ran past its timeout of {instance.pool.spec.timeout_s:g} s and did not answer"
        if task.cancelling:
            self._end_cancelled(task)
        else:
            failure = _failure("FunctionTimeoutError", text, "deadline_exceeded")
            self._attempt_failed(task, CallState.TIMED_OUT, failure, self._clock.now())
        self._fleet.kill(instance, reason=text, blame=False)


def _too_many(pool: Pool) -> str:
    return f"too much waits for {pool.function_name!r} already ({pool.backlog} inputs); send more when some are done"


class _Answer:
    """An outcome on its way to those who wait for it. A lone caller's goes out from the thread that committed it, where it can."""

    __slots__ = ("_caller", "_output", "_sent", "call")

    def __init__(self, call: LiveCall, output: Output) -> None:
        self.call, self._output, self._sent = call, output, False
        lone = call.kind == "remote" and len(call.subscribers) == 1 and len(output.payload.data) <= _AT_ONCE_BYTES
        self._caller = call.subscribers[0] if lone else None

    def send_now(self) -> None:
        """From any thread, once it is committed."""
        if self._caller is not None:
            self._sent = self._caller.send_now(self._output)

    def send(self) -> None:
        """To all who have not got it; on the loop's thread."""
        for subscriber in self.call.subscribers:
            if not (self._sent and subscriber is self._caller):
                subscriber.send(self._output)


def _failure(name: str, message: str, code: str) -> Payload:
    return Payload(encode_failure(RemoteFailure(f"freehold.exception.{name}", message, "", code)), Format.PICKLE)


def error_payload(error: Error) -> Payload:
    """A Freehold error as the payload of an Output."""
    return _failure(type(error).__name__, str(error), error.code)
