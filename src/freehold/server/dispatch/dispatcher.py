"""Takes what links bring and moves calls along: admit, run, retry, finish, answer after the commit.

It decides nothing about instances (`fleet`) and keeps nothing durable itself (`record`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from freehold.core.clock import Clock
from freehold.core.errors import Error, InstanceDiedError, NotFoundError
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
from freehold.server.dispatch.instance import Instance
from freehold.server.dispatch.pool import Pool
from freehold.server.dispatch.record import Record
from freehold.server.dispatch.registry import LiveFunction, Registry
from freehold.server.dispatch.task import LiveCall, Subscriber, Task

CANCEL_GRACE_S = 2.0
MAX_BACKLOG = 200_000  # inputs that wait for one pool; a client that sends more is told to wait
_STATUS = {
    CallState.SUCCEEDED: Status.OK,
    CallState.FAILED: Status.ERROR,
    CallState.TIMED_OUT: Status.TIMEOUT,
    CallState.CANCELLED: Status.CANCELLED,
}


class Fleet(Protocol):
    """The part of the fleet that the dispatcher needs."""

    def pool(self, function: LiveFunction, parameters: bytes) -> Pool: ...

    def kill(self, instance: Instance, *, reason: str) -> None: ...

    def retire_if_littered(self, instance: Instance) -> None: ...


class Dispatcher:
    """The life of every call that is not final."""

    def __init__(self, *, registry: Registry, record: Record, fleet: Fleet, clock: Clock) -> None:
        self.calls: dict[str, LiveCall] = {}
        self.stale_results = 0
        self.keep_large: Callable[[Payload], Awaitable[Payload]]  # arena buffers of a payload to blobs
        self._keeping: set[asyncio.Task[None]] = set()
        self._registry, self._record, self._fleet, self._clock = registry, record, fleet, clock

    # ---- from clients

    def submit(self, subscriber: Subscriber, message: Submit, *, workspace: str) -> LiveCall | None:
        """Admit a call, or refuse it."""
        known = self.calls.get(message.call)
        if known is not None:
            if subscriber not in known.subscribers:
                known.subscribers.append(subscriber)
            return known
        function = self._registry.functions.get(message.function)
        if function is None or function.app.workspace != workspace:
            subscriber.send(
                Refused(
                    message.call,
                    NotFoundError.code,
                    f"no function {message.function!r} runs now; its app may have stopped",
                )
            )
            return None
        if self._fleet.pool(function, message.parameters).backlog >= MAX_BACKLOG:
            text = f"{MAX_BACKLOG} inputs wait for {function.name!r} already; send more when some are done"
            subscriber.send(Refused(message.call, "resource_exhausted", text))
            return None
        call = self._admit(function, message, workspace)
        call.subscribers.append(subscriber)
        tasks = self._tasks(call, message.inputs)
        if message.kind == "spawn":
            self._record.created(call, subscriber)
        self._enqueue(tasks)
        if call.done:
            self._complete_empty(call)
        return call

    def keyed(self, workspace: str, function_id: str, key: str) -> LiveCall | None:
        """The call under way that has this idempotency key."""
        if not key:
            return None
        found = (
            c for c in self.calls.values() if c.key == key and c.function_id == function_id and c.workspace == workspace
        )
        return next(found, None)

    def adopt(self, call: LiveCall) -> None:
        """Go on with a call that the store kept over a restart; its tasks are PENDING."""
        self.calls[call.id] = call
        for task in call.tasks.values():
            call.pool.add(task)

    def extend(self, message: Extend) -> None:
        call = self.calls.get(message.call)
        if call is None or not call.more:
            return
        call.more = message.more
        tasks = self._tasks(call, message.inputs)
        if call.persisted:
            self._record.extended(call, tasks)
        self._enqueue(tasks)
        if call.done and not call.uncommitted:
            self._complete_empty(call)

    def cancel(self, call_id: str, *, reason: str = "cancelled by its caller", terminate: bool = False) -> bool:
        """Cancel what is not final of a call; False when nothing is."""
        call = self.calls.get(call_id)
        if call is None or call.done:
            return False
        call.more = False
        for task in list(call.tasks.values()):
            self._cancel_task(task, reason, terminate=terminate)
        return True

    def _admit(self, function: LiveFunction, message: Submit, workspace: str) -> LiveCall:
        call = LiveCall(message.call, message.kind, workspace=workspace, created=self._clock.now())
        call.app_id, call.app_name = function.app.id, function.app.name
        method = message.inputs[0].method if message.inputs else ""
        call.function_id, call.function_name = function.id, f"{function.name}.{method}" if method else function.name
        call.version, call.parent, call.key = function.version, message.parent, message.key
        call.parameters, call.more = message.parameters, message.more
        call.pool = self._fleet.pool(function, message.parameters)
        self.calls[call.id] = call
        return call

    def _tasks(self, call: LiveCall, inputs: Iterable[Input]) -> list[Task]:
        """Make the tasks of inputs that are new; a client may send some again."""
        now = self._clock.now()
        tasks = [Task(call, i.index, i.method, i.payload, now) for i in inputs if i.index not in call.tasks]
        call.tasks.update({t.index: t for t in tasks})
        call.total += len(tasks)
        return tasks

    def _enqueue(self, tasks: Iterable[Task]) -> None:
        for task in tasks:
            task.call.pool.add(task)

    def _complete_empty(self, call: LiveCall) -> None:
        call.ended = self._clock.now()
        self._record.completed(call, lambda: self._forget(call))

    def _cancel_task(self, task: Task, reason: str, *, terminate: bool) -> None:
        if task.state is CallState.PENDING:
            self._finish(task, CallState.CANCELLED, _failure("CancelledError", reason, "cancelled"), error=reason)
            return
        instance = task.call.pool.instances.get(task.instance)
        if instance is None or task.cancelling:
            return
        task.cancelling = True
        if terminate:
            self._fleet.kill(instance, reason=reason)
            return
        instance.link.send(CancelInput(task.call.id, task.index, task.attempt))
        asyncio.get_running_loop().call_later(CANCEL_GRACE_S, self._cancel_overdue, task, instance, task.attempt)

    def _cancel_overdue(self, task: Task, instance: Instance, attempt: int) -> None:
        if task.state is CallState.RUNNING and task.attempt == attempt and instance.tasks.get(task.key) is task:
            self._fleet.kill(instance, reason="an input did not stop within the grace of its cancellation")

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
            self._finish(
                task,
                CallState.CANCELLED,
                _failure("CancelledError", "the call was cancelled", "cancelled"),
                error="cancelled",
            )
            self._fleet.retire_if_littered(instance)
        elif status in (Status.OK, Status.GENERATOR_DONE):
            self._succeeded(instance, task, message)
        elif status == Status.TIMEOUT:
            self._attempt_failed(task, CallState.TIMED_OUT, message.payload, message.ended)
            if instance.pool.spec.concurrency.max_inputs == 1 or not instance.tasks:
                self._fleet.kill(
                    instance, reason=f"an input ran past its timeout of {instance.pool.spec.timeout_s:g} s"
                )
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
            payload = await self.keep_large(message.payload)
            if instance.link is not None:
                instance.link.send(Release(shared))
            finish(payload)

        far = task.call.kind == "spawn" or not all(s.local for s in task.call.subscribers)
        if shared and far:
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
        for subscriber in task.call.subscribers:
            subscriber.send(message)

    def returned(self, instance: Instance, message: Returned) -> None:
        """Queue again what an instance gave back unbegun."""
        back: list[Task] = []
        for call_id, index, attempt in message.inputs:
            task = instance.tasks.get((call_id, index))
            if task is not None and task.attempt == attempt:
                del instance.tasks[task.key]
                self._requeue(task, back)
        instance.pool.put_back(back)

    def instance_died(self, instance: Instance, reason: str) -> None:
        """Requeue what a dead instance held; what it had begun counts a crash."""
        held, instance.tasks = list(instance.tasks.values()), {}
        back: list[Task] = []
        for place, task in enumerate(held):
            begun = place < instance.slots
            if task.cancelling:
                self._finish(
                    task,
                    CallState.CANCELLED,
                    _failure("CancelledError", "the call was cancelled", "cancelled"),
                    error="cancelled",
                )
                continue
            if begun:
                task.crashes += 1
                self._record.attempt(task, CallState.FAILED, reason, self._clock.now())
            if begun and (task.crashes >= MAX_CRASHES or task.items):
                text = f"instance {instance.id} died while it ran this input ({reason}); attempt {task.attempt} was the last"
                self._finish(task, CallState.FAILED, _failure(InstanceDiedError.__name__, text, "aborted"), error=text)
                continue
            task.attempt += begun
            self._requeue(task, back)
        instance.pool.put_back(back)

    def fail_waiting(self, pool: Pool, failure: Payload) -> None:
        """End every input that waits in a pool whose instances can't start."""
        waiting, pool.queue = list(pool.queue), type(pool.queue)()
        for task in waiting:
            if task.state is CallState.PENDING:
                self._finish(task, CallState.FAILED, failure, error=failure_text(failure))

    def _requeue(self, task: Task, back: list[Task]) -> None:
        if task.cancelling:
            self._finish(
                task,
                CallState.CANCELLED,
                _failure("CancelledError", "the call was cancelled", "cancelled"),
                error="cancelled",
            )
            return
        task.move(CallState.PENDING)
        task.instance = None
        back.append(task)

    # ---- ends

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
        task.move(state)
        call.tasks.pop(task.index, None)
        call.note_end(state, error)
        call.uncommitted += 1
        ended = ended or self._clock.now()
        if call.done:
            call.ended = ended
        output = Output(call.id, task.index, _STATUS[state] if status is None else status, payload, keep or [])
        self._record.finished(task, payload, error=error, ended=ended, then=lambda: self._answer(call, output))

    def _answer(self, call: LiveCall, output: Output) -> None:
        for subscriber in call.subscribers:
            subscriber.send(output)
        call.uncommitted -= 1
        self._forget(call)

    def _forget(self, call: LiveCall) -> None:
        if call.done and not call.uncommitted:
            self.calls.pop(call.id, None)

    # ---- housekeeping

    def dropped(self, subscriber: Subscriber) -> None:
        """A client's link is gone: its calls run on, their results stay in the store."""
        for call in self.calls.values():
            if subscriber in call.subscribers:
                call.subscribers.remove(subscriber)

    def notice_long_running(self, older_than_s: float) -> None:
        """Give calls that run for a while a row, so that they are seen. Their clients send them again if the server ends."""
        limit = self._clock.now() - older_than_s
        for call in self.calls.values():
            if not call.noted and not call.done and call.created < limit:
                self._record.noticed(call)

    def overdue(self, slack_s: float) -> list[tuple[Instance, Task]]:
        """Inputs whose instance should have reported a timeout long ago."""
        now = self._clock.monotonic()
        found: list[tuple[Instance, Task]] = []
        for pool in self._registry.pools():
            for instance in pool.instances.values():
                if instance.state is not InstanceState.BUSY and instance.state is not InstanceState.DRAINING:
                    continue
                begun = list(instance.tasks.values())[: instance.slots]
                limit = pool.spec.timeout_s + slack_s
                found += [(instance, t) for t in begun if now - max(t.sent, instance.last_progress) > limit]
        return found

    def time_out(self, instance: Instance, task: Task) -> None:
        """End an attempt that its instance failed to end."""
        if instance.tasks.pop(task.key, None) is None:
            return
        text = f"ran past its timeout of {instance.pool.spec.timeout_s:g} s and did not answer"
        self._attempt_failed(
            task, CallState.TIMED_OUT, _failure("FunctionTimeoutError", text, "deadline_exceeded"), self._clock.now()
        )
        self._fleet.kill(instance, reason=text)


def _failure(name: str, message: str, code: str) -> Payload:
    return Payload(encode_failure(RemoteFailure(f"freehold.exception.{name}", message, "", code)), Format.PICKLE)


def error_payload(error: Error) -> Payload:
    """A Freehold error as the payload of an Output."""
    return _failure(type(error).__name__, str(error), error.code)
