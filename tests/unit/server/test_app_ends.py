"""Apps that end: an end that failed on the way can be had again, and nothing of a deleted environment holds on to an address."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from tests.unit.server.harness import Rig

from freehold.core.errors import ResourceExhaustedError
from freehold.core.states import AppState
from freehold.server.dispatch.registry import LiveApp
from freehold.server.services.apps import Apps, AppsParts
from freehold.server.services.endpoints import Endpoints
from freehold.server.store import writes
from freehold.server.store.reads import Reads
from freehold.server.store.rows import AppRow, EndpointRow


class Drained:
    async def drained(self, app_id: str) -> None: ...


class Doors:
    def __init__(self) -> None:
        self.closed: list[str] = []

    async def open(self, *_: Any, **__: Any) -> tuple[int, str]:
        return 8001, "http://127.0.0.1:8001"

    async def close(self, label: str) -> None:
        self.closed.append(label)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with Rig(tmp_path) as made:
        await made.store.write(writes.put_apps([_row(made.app)]))
        yield made


def _row(app: LiveApp) -> AppRow:
    return AppRow(app.id, app.workspace, app.name, app.state, 1, app.created, None, None, "", {})


def apps_of(rig: Rig, endpoints: Endpoints) -> Apps:
    nothing = cast("Any", None)
    return Apps(
        AppsParts(
            registry=rig.registry, dispatcher=rig.dispatcher, fleet=rig.fleet, store=rig.store, admission=nothing, endpoints=endpoints,
            schedules=nothing, logs=Drained(), clock=rig.clock, url=lambda: "",
        )
    )  # fmt: skip


async def test_an_app_whose_end_failed_on_the_way_can_be_stopped_again(rig: Rig) -> None:
    apps = apps_of(rig, Endpoints(doors=Doors(), store=rig.store, clock=rig.clock))
    tries = 0

    async def fails_once(_: str) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ResourceExhaustedError("the disk is full")

    apps.on_stop = fails_once
    with pytest.raises(ResourceExhaustedError):
        await apps.stop("main", rig.app.id)
    await apps.stop("main", rig.app.name)
    assert [row.state for row in await Reads(rig.store).apps("main")] == [AppState.STOPPED]


async def test_labels_of_a_deleted_environment_are_free(rig: Rig) -> None:
    doors = Doors()
    endpoints = Endpoints(doors=doors, store=rig.store, clock=rig.clock)
    rows = [
        EndpointRow(workspace, label, "ap-9", "a", "f", "", port, 0.0)
        for workspace, label, port in (("main", "mine", 8001), ("main.dev", "theirs", 8002))
    ]
    await rig.store.write(writes.put_endpoints(rows))
    await endpoints.forget_all("main.dev")
    assert [row.label for row in await Reads(rig.store).endpoints()] == ["mine"]
    assert doors.closed == ["theirs"]
