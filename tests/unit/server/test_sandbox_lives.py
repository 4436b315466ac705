"""Sandboxes that are ended while they start: nothing of them runs, and nothing is held for them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from freehold.core.clock import SystemClock
from freehold.core.errors import ConflictError, ResourceExhaustedError
from freehold.core.home import Home
from freehold.core.placement import Machine
from freehold.core.specs import ImageSpec, SandboxSpec
from freehold.core.states import AppState, SandboxState
from freehold.launchers.contract import Sandbox
from freehold.launchers.contract import SandboxRequest as Place
from freehold.protocol.schemas import SandboxRequest
from freehold.server.dispatch.places import Places
from freehold.server.dispatch.registry import LiveApp, Registry
from freehold.server.sandboxes.parts import SandboxParts
from freehold.server.sandboxes.service import Sandboxes
from freehold.server.store.sqlite import SqliteStore


class Held:
    """A sandbox that holds nothing."""

    def __init__(self) -> None:
        self.gone, self.fault = asyncio.Event(), ""

    async def kill(self) -> None:
        await asyncio.sleep(0)
        self.gone.set()


class Launcher:
    """Opens what it is asked for, once `may` is set."""

    def __init__(self) -> None:
        self.may, self.asked = asyncio.Event(), asyncio.Event()
        self.opened: list[Held] = []

    def lacks_network(self) -> str:
        return ""

    async def sandbox_env(self, image: Path) -> tuple[dict[str, str], str | None]:
        del image
        return {}, None

    async def open_sandbox(self, request: Place) -> Sandbox:
        del request
        self.asked.set()
        await self.may.wait()
        self.opened.append(Held())
        return cast("Sandbox", self.opened[-1])

    async def forget_sandbox(self, sandbox: str) -> None: ...


class Images:
    """One image, built once `may` is set."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.may, self.asked = folder, asyncio.Event(), asyncio.Event()

    async def admit(self, workspace: str, spec: ImageSpec) -> ImageSpec:
        del workspace
        return spec

    async def path(self, spec: ImageSpec) -> Path:
        del spec
        self.asked.set()
        await self.may.wait()
        return self.folder


class World:
    def __init__(self, store: SqliteStore, folder: Path) -> None:
        self.store, self.launcher, self.images = store, Launcher(), Images(folder)
        registry = Registry()
        registry.add(LiveApp(id="ap-1", name="app", workspace="main", state=AppState.EPHEMERAL, version=1, created=0.0))
        self.places = Places(Machine(cpu=4, memory_mib=8192), {}, SystemClock(), lambda _instance, _reason: None)
        self.sandboxes = Sandboxes(
            SandboxParts(
                home=Home(folder), launcher=cast("Any", self.launcher), registry=registry, places=self.places, images=self.images,
                secrets=cast("Any", None), volumes=cast("Any", None), files=cast("Any", None), store=store, logs=cast("Any", None),
                clock=SystemClock(), publish=lambda *_: None,
            )
        )  # fmt: skip

    def create(self, **spec: Any) -> "asyncio.Task[Any]":
        work = self.sandboxes.create("main", SandboxRequest(app="ap-1", spec=SandboxSpec(**spec)))
        return asyncio.get_running_loop().create_task(work)

    @property
    def running(self) -> int:
        return sum(not held.gone.is_set() for held in self.launcher.opened)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    store = SqliteStore(tmp_path / "db")
    await store.open()
    made = World(store, tmp_path)
    yield made
    made.images.may.set()
    made.launcher.may.set()
    await made.sandboxes.close()
    await store.close()


async def test_a_sandbox_runs_and_ends(world: World) -> None:
    world.images.may.set()
    world.launcher.may.set()
    made = await world.create()
    assert (made.state, world.running) == (SandboxState.RUNNING, 1)
    ended = await world.sandboxes.terminate("main", made.id)
    assert (ended.state, world.running, world.places.occupied.memory_taken_mib) == (SandboxState.TERMINATED, 0, 0)


@pytest.mark.parametrize("where", ["images", "launcher"])
async def test_an_app_that_stops_takes_along_what_still_starts(world: World, where: str) -> None:
    if where == "launcher":
        world.images.may.set()
    creating = world.create(name="one")
    await getattr(world, where).asked.wait()
    await world.sandboxes.end_app("ap-1")
    world.images.may.set()
    world.launcher.may.set()
    with pytest.raises(ConflictError, match="its app was stopped"):
        await creating
    assert (world.running, world.places.occupied.memory_taken_mib) == (0, 0)
    [row] = await world.store.read("sandboxes", {"workspace": "main", "limit": 9})
    assert "terminated" in row


async def test_what_fails_once_it_runs_fails_with_its_own_cause(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    write, count = world.store.write, 0

    async def full(*ops: Any) -> None:
        nonlocal count
        count += 1
        if count == 2:
            raise ResourceExhaustedError("the disk is full")
        await write(*ops)

    monkeypatch.setattr(world.store, "write", full)
    world.images.may.set()
    world.launcher.may.set()
    with pytest.raises(ResourceExhaustedError, match="the disk is full"):
        await world.create()
    assert (world.running, world.places.occupied.memory_taken_mib) == (0, 0)
