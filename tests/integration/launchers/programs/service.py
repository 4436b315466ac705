"""Classes that the launcher's tests run."""

import asyncio
import os
import threading

from freehold.sdk.cls import parameter
from freehold.sdk.decorators import enter, exit, method


class Counter:
    """As `@app.cls` finds it, with marks only."""

    name: str = parameter()
    size: int = parameter(default=3)

    @enter(snap=True)
    def load(self):
        self.loaded_in = os.getpid()

    @enter()
    async def begin(self):
        self.count = 0
        self.loop = asyncio.get_running_loop()

    @method()
    def add(self, n):
        self.count += n
        return self.count

    @method()
    async def on_loop(self):
        return asyncio.get_running_loop() is self.loop, os.getpid() != self.loaded_in

    @method()
    def given(self):
        return self.name, self.size

    @exit()
    def end(self):
        print("exit hook ran with", self.count, flush=True)


class Broken:
    @enter()
    def begin(self):
        raise RuntimeError("no weights here")

    @method()
    def go(self): ...


class Threaded:
    @enter(snap=True)
    def load(self):
        threading.Thread(target=threading.Event().wait, daemon=True, name="poller").start()

    @method()
    def pid(self):
        return os.getpid()
