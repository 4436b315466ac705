"""Endpoints: the label and the port of each web function, kept over deployments and restarts."""

import asyncio
import re
from collections.abc import Collection
from typing import Protocol

from freehold.core.clock import Clock
from freehold.core.errors import ConflictError
from freehold.core.names import check_label
from freehold.core.states import AppState
from freehold.server.dispatch.registry import LiveApp, LiveFunction
from freehold.server.store import writes
from freehold.server.store.contract import Store
from freehold.server.store.reads import Reads
from freehold.server.store.rows import EndpointRow


class Doors(Protocol):
    """Where web endpoints are listened for: one port each."""

    async def open(
        self, function: LiveFunction, method: str, label: str, port: int | None, *, avoid: Collection[int] = ()
    ) -> tuple[int, str]: ...

    async def close(self, label: str) -> None: ...


class Endpoints:
    """The addresses of all web functions of this platform."""

    def __init__(self, *, doors: Doors, store: Store, clock: Clock) -> None:
        self._doors, self._store, self._clock = doors, store, clock
        self._reads = Reads(store)
        self._labelling = asyncio.Lock()

    async def open(self, app: LiveApp) -> None:
        """Listen for every endpoint of the app; an endpoint that was there before keeps its port."""
        async with self._labelling:  # or two apps could take one label
            await self._open(app)

    async def close(self, app: LiveApp, *, but: LiveApp | None) -> None:
        """Close the app's endpoints that `but`, one of its versions, does not have."""
        kept = but.functions if but else {}
        for row in await self._reads.endpoints():
            function = kept.get(row.function)
            url = function.endpoints.get(row.method, "") if function else ""
            if row.app_id == app.id and not url.endswith(f":{row.port}"):
                await self._forget(row)

    async def stop(self, app: LiveApp) -> None:
        """Close all endpoints of the app; a deployed one keeps its labels and ports for the next deployment."""
        for row in await self._reads.endpoints():
            if row.app_id == app.id and app.state is AppState.DEPLOYED:
                await self._doors.close(row.label)
            elif row.app_id == app.id:
                await self._forget(row)

    async def forget_all(self, workspace: str) -> None:
        """Let go of the labels and ports of all apps of a workspace: it is deleted, and they are deployed no more."""
        for row in await self._reads.endpoints():
            if row.workspace == workspace:
                await self._forget(row)

    async def _open(self, app: LiveApp) -> None:
        known = {(e.app_id, e.function, e.method): e for e in await self._reads.endpoints()}
        owners = {e.label: e.app_id for e in known.values()}
        ours: set[str] = set()
        for function in app.functions.values():
            for method, web in function.spec.endpoints().items():
                row = known.get((app.id, function.name, method))
                label = web.label or (row.label if row else _default_label(app, function.name, method))
                check_label(label)
                if owners.get(label, app.id) != app.id or label in ours:
                    label = _free_label(app, label, asked_for=web.label is not None)
                ours.add(label)
                if row is not None and row.label != label:  # renamed: the port goes along
                    await self._forget(row)
                # ports of apps that are stopped are theirs still: their addresses hold when they are deployed again
                others = [e.port for e in known.values() if e is not row]
                port, url = await self._doors.open(function, method, label, row.port if row else None, avoid=others)
                function.endpoints[method] = url
                opened = EndpointRow(
                    app.workspace, label, app.id, app.name, function.name, method, port, self._clock.now()
                )
                await self._store.write(writes.put_endpoints([opened]))

    async def _forget(self, row: EndpointRow) -> None:
        await self._doors.close(row.label)
        await self._store.write(writes.delete_endpoint(row.workspace, row.label))


def _free_label(app: LiveApp, label: str, *, asked_for: bool) -> str:
    if asked_for and app.state is AppState.DEPLOYED:
        raise ConflictError(f"label {label!r} belongs to another endpoint; choose another label")
    return f"{label[:50]}-{app.id[-8:]}"


def _default_label(app: LiveApp, function: str, method: str) -> str:
    dev = "" if app.state is AppState.DEPLOYED else "-dev"
    text = "-".join(filter(None, (app.name, function, method))).lower()
    return re.sub(r"[^a-z0-9]+", "-", text).strip("-")[: 63 - len(dev)].strip("-") + dev
