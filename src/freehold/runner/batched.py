"""Runs batched code: gathers inputs into lists, calls once, and gives each input its own result."""

import inspect
import queue
import time
from typing import Any, cast

from freehold.core.errors import InvalidError
from freehold.protocol.frames import Execute
from freehold.runner.inputs import Run, Tools, settle
from freehold.runner.load import Target
from freehold.runner.sequential import Sequential
from freehold.sdk import context


class Batched(Sequential):
    """Gathers inputs into lists: whatever has come, and what comes within `wait_ms` of the first, up to `max_batch_size`."""

    def __init__(self, tools: Tools, method: str, target: Target) -> None:
        super().__init__(tools, 1)
        assert target.batching is not None
        self._method, self._batched = method, target
        self._most, self._wait_s = target.batching.max_batch_size, target.batching.wait_ms / 1000
        self._over = False

    def _work(self) -> None:
        while not self._over:
            first = self._queue.get()
            if first is None:
                return
            runs = [r for r in map(self._begin, self._gather(first)) if r is not None]
            if runs:
                self._all(runs)

    def _gather(self, first: Execute) -> list[Execute]:
        batch, until = [first], time.monotonic() + self._wait_s
        while len(batch) < self._most:
            try:
                execute = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if execute is None:
                self._over = True
                break
            batch.append(execute)
        return batch

    def _all(self, runs: list[Run]) -> None:
        first = runs[0].execute
        tokens = context.enter_input(first.call, first.index)
        self.output.only_call = first.call
        try:
            self._call_batch(runs)
        except BaseException as error:  # noqa: BLE001 (as for one input)
            for run in runs:
                self._end_failed(run, error)
        finally:
            self._active = None
            context.leave_input(tokens)

    def _call_batch(self, runs: list[Run]) -> None:
        ready: list[tuple[Run, Any]] = []
        for run in runs:
            try:
                ready.append((run, self.codec.arguments(run.execute.payload)))
            except Exception as error:  # noqa: BLE001 (that input alone fails)
                self._end_failed(run, error)
        if not ready:
            return
        args, kwargs = _columns([arguments for _, arguments in ready])
        if len(ready) == 1:
            self._enter_user_code(ready[0][0])
        values = self._batched.call(*args, **kwargs)
        if inspect.isawaitable(values):
            values = self._runner().run(settle(values))
        _check_batch(values, len(ready), self.user.spec.name)
        for (run, _), value in zip(ready, values, strict=True):
            run.in_user_code = False
            try:
                payload = self._written(run, value)
                del value
                self._end_returned(run, payload)
            except Exception as error:  # noqa: BLE001 (that input alone fails)
                self._end_failed(run, error)


def _columns(arguments: list[Any]) -> tuple[list[list[Any]], dict[str, list[Any]]]:
    """Arguments of many inputs as lists, one a parameter."""
    first_args, first_kwargs = arguments[0]
    for args, kwargs in arguments:
        if len(args) != len(first_args) or kwargs.keys() != first_kwargs.keys():
            msg = "the inputs of a batch must give the same arguments, each by position or each by name"
            raise InvalidError(msg)
    args = [[a[n] for a, _ in arguments] for n in range(len(first_args))]
    return args, {name: [k[name] for _, k in arguments] for name in first_kwargs}


def _check_batch(values: Any, size: int, name: str) -> None:
    if not hasattr(values, "__len__") or isinstance(values, (str, bytes, dict)):
        msg = f"{name!r} is batched and must return a list with one result an input; it returned a {type(cast('object', values)).__qualname__!r}"
        raise InvalidError(msg)
    if len(values) != size:
        msg = f"{name!r} got a batch of {size} inputs and returned {len(values)} results: return one result an input, in their order"
        raise InvalidError(msg)
