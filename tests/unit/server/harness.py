"""Dispatch with a real store and instances that the test plays."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from freehold.core.clock import Clock, SystemClock
from freehold.core.errors import ConflictError
from freehold.core.ids import new_id
from freehold.core.placement import Machine
from freehold.core.specs import FunctionSpec, ImageSpec
from freehold.core.states import AppState, InstanceState
from freehold.launchers.contract import Entered, Exit, ImageFacts, Network, Started, StartRequest
from freehold.protocol.frames import Input, Join, Payload, Ready, Result, Submit, Welcome
from freehold.server.dispatch.dispatcher import Dispatcher
from freehold.server.dispatch.fleet import Fleet
from freehold.server.dispatch.instance import Instance
from freehold.server.dispatch.record import Record
from freehold.server.dispatch.registry import LiveApp, LiveFunction, Registry
from freehold.server.dispatch.task import LiveCall
from freehold.server.store.reads import Reads
from freehold.server.store.sqlite import SqliteStore

RESULT = Payload(b"result")
MACHINE = Machine(cpu=4, memory_mib=8192)


class Ear:
    """A subscriber that remembers what it was told."""

    def __init__(self, name: str = "client") -> None:
        self.heard: list[Any] = []
        self.open = False  # as a link: nothing of it is unread
        self.name, self.local, self.calls = name, True, set[LiveCall]()

    def send(self, message: Any) -> None:
        self.heard.append(message)

    def send_now(self, message: Any) -> bool:
        self.send(message)
        return True

    def of(self, kind: type) -> list[Any]:
        return [m for m in self.heard if isinstance(m, kind)]

    def abort(self) -> None:
        pass


class PlayedLauncher:
    """A launcher whose instances are the test's to play."""

    def __init__(self) -> None:
        self.exited: Callable[[Exit], None] = lambda _: None
        self.attachments: Any = None
        self.started: list[StartRequest] = []
        self.killed: list[str] = []
        self.networks: Network = "host"

    async def ensure_image(self, spec: ImageSpec, log: Callable[[str], None]) -> Path:
        return Path("/nowhere")

    async def image_facts(self, digest: str) -> ImageFacts | None:
        return None

    async def image_log(self, digest: str) -> list[str]:
        return []

    async def delete_image(self, digest: str) -> None:
        pass

    def network(self, spec: FunctionSpec) -> Network:
        return self.networks

    async def start(self, request: StartRequest) -> Started:
        self.started.append(request)
        return Started(pid=1)

    async def stop(self, instance: str, *, grace_s: float) -> None:
        self.exited(Exit(instance=instance, code=0))

    async def kill(self, instance: str) -> None:
        self.killed.append(instance)
        self.exited(Exit(instance=instance, signal=9))

    async def enter(self, instance: str) -> Entered:
        raise ConflictError(f"instance {instance} has ended")

    async def retire(self, pool: str) -> None:
        pass

    def guards(self) -> dict[str, str]:
        return {}

    async def close(self) -> None:
        pass


class _NoLogs:
    def __init__(self) -> None:
        self.notes: list[str] = []

    def begin(self, instance: Instance) -> None:
        pass

    def end(self, instance: Instance) -> None:
        pass

    def note(self, instance: Instance, text: str) -> None:
        self.notes.append(text)


class _Prepared:
    def release(self, instance: Instance) -> None: ...

    async def prepare(self, instance: Instance) -> StartRequest:
        return StartRequest(
            instance=instance.id, token=instance.token, pool=instance.pool.key, app_id="", app="", function_id="", spec=instance.pool.spec,
            parameters=b"", image=Path(), mounts=(), volumes=(), env={}, output=Path(), lease_s=1.0, link=Path(), api=Path(), arena=Path(),
        )  # fmt: skip


class Rig:
    """One app with one function, ready to be called."""

    def __init__(
        self,
        folder: Path,
        *,
        lease_s: float = 30.0,
        machine: Machine = MACHINE,
        clock: Clock | None = None,
        **spec: Any,
    ) -> None:
        self.clock = clock or SystemClock()
        self.store = SqliteStore(folder / "freehold.db")
        self.reads = Reads(self.store)
        self.registry = Registry()
        self.launcher = PlayedLauncher()
        self.record = Record(self.store, self.clock)
        self.fleet = Fleet(
            registry=self.registry,
            record=self.record,
            launcher=self.launcher,
            machine=machine,
            clock=self.clock,
            lease_s=lease_s,
        )
        self.dispatcher = Dispatcher(registry=self.registry, record=self.record, fleet=self.fleet, clock=self.clock)
        self.logs = _NoLogs()
        self.fleet.dispatcher, self.fleet.preparer, self.fleet.logs = self.dispatcher, _Prepared(), self.logs
        self.fleet.welcome = Welcome("server", "0")
        app = LiveApp(id=new_id("ap"), name="app", workspace="main", state=AppState.DEPLOYED, version=1, created=0.0)
        self.app = app
        self.function = self.declare("f", **spec)
        self.ear = Ear()

    def declare(self, name: str, **spec: Any) -> LiveFunction:
        """Add a function to the app."""
        declared = FunctionSpec(name=name, module="m", qualname=name, **spec)
        function = LiveFunction(id=new_id("fu"), app=self.app, spec=declared, digest="", version=1)
        self.app.functions[name] = function
        self.registry.add(self.app)
        return function

    async def __aenter__(self) -> Self:
        await self.store.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.store.close()

    def submit(self, kind: str = "remote", count: int = 1, to: LiveFunction | None = None, **more: Any) -> str:
        call = new_id("fc")
        inputs = [Input(n, Payload(b"args")) for n in range(count)]
        message = Submit(call, (to or self.function).id, kind, inputs, **more)  # type: ignore[arg-type]
        self.dispatcher.submit(self.ear, message, workspace="main")
        return call

    async def instance(self, *, slots: int = 1) -> tuple[Instance, Ear]:
        """Wait for an instance that starts, and play its coming up."""
        await until(lambda: any(map(_comes_up, self.fleet.instances.values())))
        instance = next(i for i in self.fleet.instances.values() if _comes_up(i))
        link = Ear()
        self.fleet.joined(instance, link, pid=1)
        self.fleet.ready(instance, Ready(slots, {}, {"fork": 0.001}))
        return instance, link

    def answer(
        self,
        instance: Instance,
        execute: Any,
        *,
        status: int = 0,
        payload: Payload = RESULT,
        took: float = 1.0,
    ) -> None:
        now = self.clock.now()
        self.dispatcher.result(
            instance, Result(execute.call, execute.index, execute.attempt, status, payload, now - took, now)
        )


def _comes_up(instance: Instance) -> bool:
    return instance.state is InstanceState.STARTING and instance.pid is not None and instance.link is None


async def until(check: Callable[[], object], timeout_s: float = 5.0) -> None:
    """Let the loop run until `check` holds."""
    async with asyncio.timeout(timeout_s):
        while not check():  # noqa: ASYNC110 (there is no event for what a test waits for)
            await asyncio.sleep(0.002)


__all__ = ["Ear", "Join", "Rig", "until"]
