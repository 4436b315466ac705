"""Runs sync code: one input after another in the main thread, or in as many threads as there are slots."""

import asyncio
import inspect
import queue
import signal
import threading
import time
from typing import Any

from freehold.core.errors import InputCancellation
from freehold.protocol.frames import Execute, Status
from freehold.runner import process
from freehold.runner.generators import iterate
from freehold.runner.inputs import CANCEL_SIGNAL, NOTHING, Inputs, Key, Run, Tools, settle
from freehold.sdk import context


class Sequential(Inputs):
    """Sync code: in the main thread, or in as many threads as there are slots."""

    def __init__(self, tools: Tools, slots: int) -> None:
        super().__init__(tools, slots)
        self._queue: queue.SimpleQueue[Execute | None] = queue.SimpleQueue()
        self._queued: set[Key] | None = None
        self._local = threading.local()
        self._active: Run | None = None  # the main thread's
        self._main = threading.get_ident()

    # ---- from the IO thread

    def submit(self, execute: Execute) -> None:
        self._queue.put(execute)

    def recall(self) -> list[Key]:
        taken: list[Key] = []
        while True:
            try:
                execute = self._queue.get_nowait()
            except queue.Empty:
                return taken
            if execute is None:
                self._queue.put(None)
                return taken
            taken.append((execute.call, execute.index, execute.attempt))

    def finish(self) -> None:
        for _ in range(self.slots):
            self._queue.put(None)

    def _holds(self, key: Key) -> bool:  # noqa: ARG002 (a queue cannot be searched: it is skipped when its turn comes)
        return True

    def _waits(self) -> bool:
        return not self._queue.empty()

    def _interrupt(self, run: Run) -> None:
        if run.thread == self._main:
            signal.pthread_kill(self._main, CANCEL_SIGNAL)
        elif run.in_user_code:
            process.raise_in_thread(run.thread, InputCancellation)

    # ---- from the main thread

    def run(self) -> None:
        signal.signal(CANCEL_SIGNAL, self._on_cancel)
        if self.slots == 1:
            self._work()
            return
        threads = [threading.Thread(target=self._work, name=f"input-{n}", daemon=True) for n in range(self.slots)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self) -> None:
        take = self._queue.get
        while (execute := take()) is not None:
            run = self._begin(execute)
            if run is not None:
                self._one(run)
            del execute, run

    def _one(self, run: Run) -> None:
        tokens = context.enter_input(run.execute.call, run.execute.index)
        if self.slots == 1:
            self.output.only_call = run.execute.call
        try:
            self._call(run)
        except BaseException as error:  # noqa: BLE001 (whatever user code raises crosses; SystemExit too)
            self._end_failed(run, error)
        finally:
            run.in_user_code = False
            self._active = None
            context.leave_input(tokens)

    def _call(self, run: Run) -> None:
        execute = run.execute
        target = self._target(execute)
        args, kwargs = self.codec.arguments(execute.payload)
        self._enter_user_code(run)
        value = target.call(*args, **kwargs)
        del args, kwargs
        if inspect.isawaitable(value):
            value = self._runner().run(settle(value))
        if execute.generator:
            self._stream(run, value)
        else:
            run.in_user_code = False
            payload = self._written(run, value)
            del value
            self._end_returned(run, payload)

    def _enter_user_code(self, run: Run) -> None:
        run.in_user_code = True
        if self.slots == 1:
            self._active = run
        if run.cancelled:
            raise InputCancellation

    def _stream(self, run: Run, items: Any) -> None:
        sequence = -1
        for sequence, value in enumerate(iterate(items, self.user.spec.name, self._runner)):
            if run.key not in self.running:  # it timed out
                return
            self._item(run, sequence, value)
            while self._ahead(run, sequence):
                time.sleep(0.001) if not self.outbox.full else self.outbox.wait_for_room()
        run.in_user_code = False
        self._end(run, Status.GENERATOR_DONE, NOTHING, self.codec.kept(run.execute.payload))

    def _runner(self) -> "asyncio.Runner":
        """A loop of this thread, for awaitables that sync code returns."""
        runner = getattr(self._local, "runner", None)
        if runner is None:
            runner = self._local.runner = asyncio.Runner()
        return runner

    def _on_cancel(self, *_: object) -> None:
        run = self._active
        if run is not None and run.cancelled and run.in_user_code:
            raise InputCancellation("the call was cancelled")
