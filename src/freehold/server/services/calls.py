"""Calls: listed, shown, cancelled, and made from plain JSON."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import Any

import msgspec

from freehold.core.errors import InvalidError, NotFoundError, SerializationError
from freehold.core.ids import new_id
from freehold.core.states import CallState
from freehold.protocol.errors import from_wire
from freehold.protocol.frames import Format, Input, Output, Payload, Refused, Status, Submit
from freehold.protocol.payload import decode_failure, decode_payload, payload_bytes
from freehold.protocol.schemas import AttemptView, CallDetail, CallGraph, CallView, InputView, JsonCall, JsonResult
from freehold.server.dispatch.dispatcher import Dispatcher
from freehold.server.dispatch.record import Record
from freehold.server.dispatch.registry import LiveFunction, Registry
from freehold.server.dispatch.task import LiveCall, Task
from freehold.server.doors import Doors
from freehold.server.services.graph import Graphs
from freehold.server.services.parameters import encode_parameters
from freehold.server.store.contract import Store
from freehold.server.store.reads import Reads
from freehold.server.store.rows import AttemptRow, CallFilter, CallRow, InputRow

MAX_INPUTS_SHOWN = 1000


@dataclass(kw_only=True)
class CallsParts:
    dispatcher: Dispatcher
    registry: Registry
    record: Record
    store: Store
    doors: Doors


class Calls:
    """Calls of this platform, those under way from memory, the others from the store."""

    def __init__(self, parts: CallsParts) -> None:
        self._p = parts
        self._reads = Reads(parts.store)

    async def list(self, workspace: str, which: CallFilter = CallFilter()) -> list[CallView]:  # noqa: B008 (frozen)
        """Newest first."""
        rows = {r.id: _view(r) for r in await self._reads.calls(workspace, which)}
        for row, _ in self._p.doors.under_way():
            if row.workspace == workspace and _matches(_view(row), which):
                rows[row.id] = _view(row)
        for call in self._p.dispatcher.calls.values():
            if call.workspace == workspace:
                rows.pop(call.id, None)
                view = _live_view(call)
                if _matches(view, which):
                    rows[call.id] = view
        return sorted(rows.values(), key=lambda v: v.id, reverse=True)[: which.limit]

    async def get(self, workspace: str, call_id: str) -> CallDetail:
        live = self._p.dispatcher.calls.get(call_id)
        if live is None and (web := self._under_way(workspace, call_id)) is not None:
            return web
        row = await self._reads.call(workspace, call_id)
        if live is not None and live.workspace == workspace:
            view = _live_view(live)
        elif row is not None:
            view = _view(row)
        else:
            raise NotFoundError(f"no call {call_id!r}; `freehold call list` shows the latest")
        if view.kind == "web":
            return CallDetail(call=view, inputs=(_web_input(view, None),), attempts=())
        inputs = {i.idx: _input_view(i) for i in await self._reads.inputs(call_id, limit=MAX_INPUTS_SHOWN)}
        if live is not None and live.workspace == workspace:
            inputs |= {t.index: _task_view(t) for t in list(live.tasks.values())[:MAX_INPUTS_SHOWN]}
        attempts = [_attempt_view(a) for a in await self._reads.attempts(call_id)]
        return CallDetail(call=view, inputs=tuple(inputs[k] for k in sorted(inputs)), attempts=tuple(attempts))

    def _under_way(self, workspace: str, call_id: str) -> CallDetail | None:
        """A web request that is not in the store yet."""
        for row, instance in self._p.doors.under_way():
            if row.id == call_id and row.workspace == workspace:
                return CallDetail(call=_view(row), inputs=(_web_input(_view(row), instance),), attempts=())
        return None

    async def graph(self, workspace: str, call_id: str) -> CallGraph:
        """The calls around one: what made it, and what it made."""
        return await Graphs(self, self._p.registry, self._reads).of(workspace, call_id)

    async def cancel(self, workspace: str, call_id: str, *, terminate: bool = False) -> bool:
        """Cancel a call; False when it was final already."""
        live = self._p.dispatcher.calls.get(call_id)
        if live is None or live.workspace != workspace:
            await self.get(workspace, call_id)
            return False
        return self._p.dispatcher.cancel(call_id, terminate=terminate)

    async def result(self, workspace: str, call_id: str) -> Any:
        """The recorded result of a call that was made with JSON."""
        if await self._reads.call(workspace, call_id) is None:
            raise NotFoundError(f"no call {call_id!r}")
        row = await self._reads.input(call_id, 0)
        if row is None or not row.state.final or row.result is None:
            raise NotFoundError(f"call {call_id!r} has no recorded result yet")
        return _json_value(row.state, decode_payload(row.result))

    async def submit_json(
        self,
        workspace: str,
        app: str,
        function: str,
        call: JsonCall,
        *,
        method: str = "",
        key: str = "",
        wait: bool = True,
    ) -> JsonResult:
        """Run a function on plain JSON. Errors of user code come as the class that their code names."""
        target = self._p.registry.function(workspace, app, function)
        _check_method(target, method)
        body = msgspec.json.encode({"args": call.args, "kwargs": call.kwargs})
        message = Submit(
            new_id("fc"),
            target.id,
            "remote" if wait else "spawn",
            [Input(0, Payload(body, Format.JSON), method)],
            parameters=encode_parameters(target.spec, call.parameters),
            key=key,
            digest=_digest(call, method) if key else b"",
        )
        waiter = _Waiter(wait=wait)
        call_id = message.call
        if key:
            call_id = await self._submit_keyed(waiter, message, workspace)
        else:
            self._p.dispatcher.submit(waiter, message, workspace=workspace)
        return JsonResult(
            call=call_id, result=await waiter.wait_for(lambda: self._p.dispatcher.abandon(call_id, waiter))
        )

    async def _submit_keyed(self, waiter: "_Waiter", message: Submit, workspace: str) -> str:
        """Submit what has an idempotency key, or listen to the call that had it first; return the call's id."""
        async with self._p.record.turn(workspace, message.function, message.key):
            live = self._p.dispatcher.keyed(workspace, message.function, message.key)
            if live is not None:
                _check_digest(message, live.digest)
                self._p.dispatcher.watch(live, waiter)
                return live.id
            known = await self._p.record.find(workspace, message.call, message.function, message.key)
            if known is not None:
                _check_digest(message, known.options)
                message = msgspec.structs.replace(message, call=known.id)
            if known is not None and known.state.final:
                await self._p.record.replay(waiter, known.id, known, [0])
            else:
                self._p.dispatcher.submit(waiter, message, workspace=workspace)
            return message.call


class ReusedKeyError(InvalidError):
    """An idempotency key that came before with other arguments; answered with 422."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class _Waiter:
    """A subscriber that waits for the one output of a JSON call, or for its acceptance."""

    def __init__(self, *, wait: bool) -> None:
        self._future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._wait = wait
        self.name, self.local, self.calls = "", False, set[LiveCall]()

    def send(self, message: Any) -> None:
        if self._future.done():
            return
        if isinstance(message, Refused):
            self._future.set_exception(from_wire(message.code, message.message))
        elif isinstance(message, Output):
            self._settle(message)
        elif not self._wait:
            self._future.set_result(None)

    def send_now(self, message: Any) -> bool:  # noqa: ARG002 (a waiter is woken on the loop's own thread)
        return False

    async def wait_for(self, gone: Callable[[], object]) -> Any:
        try:
            return await self._future
        except asyncio.CancelledError:
            gone()
            raise

    def _settle(self, output: Output) -> None:
        state = CallState.SUCCEEDED if output.status in (Status.OK, Status.GENERATOR_DONE) else CallState.FAILED
        try:
            self._future.set_result(_json_value(state, output.payload))
        except Exception as error:  # noqa: BLE001 (whatever it is, it is the waiter's to raise)
            self._future.set_exception(error)


def _json_value(state: CallState, payload: Payload) -> Any:
    if state is not CallState.SUCCEEDED:
        failure = decode_failure(payload)
        name = failure.type.rpartition(".")[2]
        plain = failure.type.removeprefix("builtins.")
        ours = failure.type.startswith(("freehold.", "modal."))
        raise from_wire(
            failure.code, failure.message if ours else f"{plain}: {failure.message}", name if ours else None
        )
    if payload.format != Format.JSON:
        raise SerializationError(
            "this call was made from Python; its result is a pickle that only a Python client reads"
        )
    return msgspec.json.decode(payload.data) if payload.data else None


def _check_method(function: LiveFunction, method: str) -> None:
    methods = [m.name for m in function.spec.methods]
    if method and method not in methods:
        raise NotFoundError(f"{function.name!r} has no method {method!r}; it has: {', '.join(methods) or 'none'}")
    if not method and function.spec.kind == "cls":
        raise InvalidError(
            f"{function.name!r} is a class: call one of its methods, as POST …/{function.name}/METHOD/call; it has: {', '.join(methods)}"
        )
    if function.spec.is_generator:
        raise InvalidError(f"{function.name!r} is a generator; JSON calls take functions that return one value")


def _digest(call: JsonCall, method: str) -> bytes:
    """What a call asks for, whatever the order of its names."""
    asked = [method, call.args, call.kwargs, call.parameters]
    return sha256(msgspec.json.encode(asked, order="deterministic")).digest()


def _check_digest(message: Submit, first: bytes) -> None:
    if message.digest != first:
        raise ReusedKeyError(
            f"Idempotency-Key {message.key!r} was used for this function with other arguments; "
            "send a new key for a new call, or the same arguments for the result of the first"
        )


def _matches(view: CallView, which: CallFilter) -> bool:
    function = which.function
    return (
        (which.app is None or which.app in (view.app, view.app_id))
        and (function is None or view.function == function or view.function.startswith(f"{function}."))
        and (which.state is None or view.state == which.state)
        and (which.kind is None or view.kind == which.kind)
        and (which.parent is None or view.parent == which.parent)
        and (which.since is None or view.created >= which.since)
        and (which.before is None or view.id < which.before)
    )


def _view(r: CallRow) -> CallView:
    return CallView(
        id=r.id, app_id=r.app_id, app=r.app, function_id=r.function_id, function=r.function, kind=r.kind, state=r.state, created=r.created,
        started=r.started, ended=r.ended, inputs=r.inputs, succeeded=r.succeeded, failed=r.failed, parent=r.parent, error=r.error, parent_index=r.parent_index,
    )  # fmt: skip


def _live_view(c: LiveCall) -> CallView:
    return CallView(
        id=c.id, app_id=c.app_id, app=c.app_name, function_id=c.function_id, function=c.function_name, kind=c.kind, state=c.state,
        created=c.created, started=c.started, ended=c.ended, inputs=c.total, succeeded=c.succeeded, failed=c.failed,
        parent=c.parent or None, error=c.error, parent_index=c.parent_index if c.parent else None,
    )  # fmt: skip


def _input_view(i: InputRow) -> InputView:
    return InputView(
        index=i.idx, state=i.state, attempt=i.attempt, method=i.method, instance=i.instance, created=i.created, started=i.started,
        ended=i.ended, args_bytes=i.args_bytes, result_bytes=i.result_bytes, error=i.error, traceback=i.traceback,
    )  # fmt: skip


def _web_input(call: CallView, instance: str | None) -> InputView:
    """A web request as the one input of its call; which instance had it is not kept."""
    return InputView(
        index=0, state=call.state, attempt=1, method="", instance=instance, created=call.created, started=call.started, ended=call.ended,
        args_bytes=0, result_bytes=None, error=call.error,
    )  # fmt: skip


def _task_view(t: Task) -> InputView:
    return InputView(
        index=t.index, state=t.state, attempt=t.attempt, method=t.method, instance=t.instance, created=t.created, started=t.started,
        ended=None, args_bytes=payload_bytes(t.payload), result_bytes=None,
    )  # fmt: skip


def _attempt_view(a: AttemptRow) -> AttemptView:
    return AttemptView(
        index=a.idx,
        attempt=a.attempt,
        instance=a.instance,
        state=a.state,
        started=a.started,
        ended=a.ended,
        error=a.error,
    )
