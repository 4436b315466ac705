"""Runs code with something async in it, or with web endpoints: tasks of one loop in the main thread, sync methods in threads."""

import asyncio
import inspect
import signal
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from freehold.core.errors import InputCancellation
from freehold.protocol.frames import Execute, Status
from freehold.runner import process
from freehold.runner.generators import iterate, iterate_async
from freehold.runner.inputs import CANCEL_SIGNAL, NOTHING, Inputs, Key, Run, Tools, new_loop, settle
from freehold.sdk import context


class Concurrent(Inputs):
    """Code with something async in it, or with web endpoints: tasks of one loop in the main thread, sync methods in threads."""

    def __init__(self, tools: Tools, slots: int, *, threads: bool) -> None:
        super().__init__(tools, slots)
        self.loop = new_loop()
        self._waiting: deque[Execute] = deque()
        self._scheduled = False
        self._active = 0
        self._threads = threads or slots > 1
        self._done = asyncio.Event()
        self._current: Run | None = None
        self._main = threading.get_ident()
        if self._threads:
            self._pool = ThreadPoolExecutor(slots, "input")

    # ---- from the IO thread

    def submit(self, execute: Execute) -> None:
        self._waiting.append(execute)
        self._wake()

    def recall(self) -> list[Key]:
        taken: list[Key] = []
        while True:
            try:
                execute = self._waiting.pop()
            except IndexError:
                return taken[::-1]
            taken.append((execute.call, execute.index, execute.attempt))

    def finish(self) -> None:
        self._finishing = True
        self._wake()

    def _wake(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon_threadsafe(self._begin_more)

    def _holds(self, key: Key) -> bool:
        return any((e.call, e.index, e.attempt) == key for e in list(self._waiting))

    def _waits(self) -> bool:
        return bool(self._waiting)

    def _interrupt(self, run: Run) -> None:
        if run.task is not None:
            self.loop.call_soon_threadsafe(run.task.cancel)
        elif run.thread == self._main:
            signal.pthread_kill(self._main, CANCEL_SIGNAL)
        elif run.in_user_code:
            process.raise_in_thread(run.thread, InputCancellation)

    # ---- from the main thread

    def run(self) -> None:
        signal.signal(CANCEL_SIGNAL, self._on_cancel)
        self.loop.run_until_complete(self._done.wait())

    def _on_cancel(self, *_: object) -> None:
        run = self._current
        if run is not None and run.cancelled and run.in_user_code:
            raise InputCancellation("the call was cancelled")

    def _begin_more(self) -> None:
        self._scheduled = False
        while self._active < self.slots:
            try:
                execute = self._waiting.popleft()
            except IndexError:
                break
            run = self._begin(execute)
            if run is not None:
                self._start(run)
        if self._finishing and not self._active and not self._waiting:
            self._done.set()

    def _start(self, run: Run) -> None:
        target = self.user.targets.get(run.execute.method)
        self._active += 1
        if target is None or target.is_async:
            run.task = self.loop.create_task(self._one_async(run))
            run.task.add_done_callback(lambda _: self._ended())
        elif self._threads:
            future = self.loop.run_in_executor(self._pool, self._one_sync, run)
            future.add_done_callback(lambda _: self._ended())
        else:
            self._current = run
            self._one_sync(run)
            self._current = None
            self._active -= 1

    def _ended(self) -> None:
        self._active -= 1
        self._begin_more()

    async def _one_async(self, run: Run) -> None:
        execute = run.execute
        context.enter_input(execute.call, execute.index)
        if self.slots == 1:
            self.output.only_call = execute.call
        try:
            target = self._target(execute)
            args, kwargs = self.codec.arguments(execute.payload)
            value = target.call(*args, **kwargs)
            del args, kwargs
            if inspect.isawaitable(value):
                value = await value
            if execute.generator:
                await self._stream_async(run, value)
            else:
                payload = self._written(run, value)
                del value
                self._end_returned(run, payload)
        except BaseException as error:  # noqa: BLE001 (whatever user code raises crosses)
            self._end_failed(run, error)

    async def _stream_async(self, run: Run, items: Any) -> None:
        sequence = 0
        async for value in iterate_async(items, self.user.spec.name):
            self._item(run, sequence, value)
            while self._ahead(run, sequence):  # noqa: ASYNC110 (what it waits for happens in another thread)
                await asyncio.sleep(0.002)
            sequence += 1
        self._end(run, Status.GENERATOR_DONE, NOTHING, self.codec.kept(run.execute.payload))

    def _one_sync(self, run: Run) -> None:
        execute = run.execute
        run.thread = threading.get_ident()
        tokens = context.enter_input(execute.call, execute.index)
        if self.slots == 1:
            self.output.only_call = execute.call
        try:
            args, kwargs = self.codec.arguments(execute.payload)
            run.in_user_code = True
            if run.cancelled:
                raise InputCancellation  # noqa: TRY301 (the same way as from user code)
            value = self._target(execute).call(*args, **kwargs)
            del args, kwargs
            if inspect.isawaitable(value):
                value = asyncio.run_coroutine_threadsafe(settle(value), self.loop).result()
            if execute.generator:
                self._stream_sync(run, value)
            else:
                run.in_user_code = False
                payload = self._written(run, value)
                del value
                self._end_returned(run, payload)
        except BaseException as error:  # noqa: BLE001 (whatever user code raises crosses)
            self._end_failed(run, error)
        finally:
            run.in_user_code = False
            context.leave_input(tokens)

    def _stream_sync(self, run: Run, items: Any) -> None:
        for sequence, value in enumerate(iterate(items, self.user.spec.name, None)):
            self._item(run, sequence, value)
            while self._ahead(run, sequence):
                time.sleep(0.002)
        run.in_user_code = False
        self._end(run, Status.GENERATOR_DONE, NOTHING, self.codec.kept(run.execute.payload))
