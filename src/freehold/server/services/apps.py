"""Apps: created, deployed, replaced without a gap, rolled back, stopped."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from weakref import WeakValueDictionary

import msgspec

from freehold.core.clock import Clock
from freehold.core.digests import function_digest, image_digest
from freehold.core.environments import root_of
from freehold.core.errors import InvalidError, NotFoundError, StartError
from freehold.core.ids import new_id
from freehold.core.names import check_name
from freehold.core.placement import cpu_of, memory_of
from freehold.core.schedule import describe
from freehold.core.specs import AppSpec, FunctionSpec, Web
from freehold.core.states import AppState
from freehold.core.suggest import did_you_mean
from freehold.protocol.schemas import (
    AppHandle,
    AppRequest,
    AppView,
    EndpointView,
    FunctionDetail,
    FunctionHandle,
    FunctionView,
    VersionView,
)
from freehold.server.dispatch.dispatcher import Dispatcher
from freehold.server.dispatch.fleet import Fleet
from freehold.server.dispatch.pool import Pool
from freehold.server.dispatch.registry import LiveApp, LiveFunction, Registry
from freehold.server.services.admission import Admission
from freehold.server.services.endpoints import Endpoints
from freehold.server.services.prepare import handle
from freehold.server.services.schedules import Schedules, is_scheduled
from freehold.server.store import writes
from freehold.server.store.contract import Store, Write
from freehold.server.store.reads import Reads
from freehold.server.store.rows import AppRow, AppVersionRow, FunctionRow

log = logging.getLogger("freehold.apps")
Changed = list[tuple[LiveFunction, LiveFunction]]  # new, old
CLIENT_GRACE_S = 10.0
STOP_GRACE_S = 5.0
_AT_ONCE = 500  # calls that are cancelled in one turn of the loop


class LogsDrained(Protocol):
    async def drained(self, app_id: str) -> None: ...


@dataclass(kw_only=True)
class AppsParts:
    """What apps are made from."""

    registry: Registry
    dispatcher: Dispatcher
    fleet: Fleet
    store: Store
    admission: Admission
    endpoints: Endpoints
    schedules: Schedules
    logs: LogsDrained
    clock: Clock
    url: Callable[[], str]


class Apps:
    """All apps of this platform."""

    def __init__(self, parts: AppsParts) -> None:
        self._p = parts
        self._reads = Reads(parts.store)
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._reaping: set[asyncio.Task[None]] = set()
        self._stopping: set[str] = set()
        self.on_stop: Callable[[str], Awaitable[None]] = _nothing_more

    # ---- reading

    async def list(self, workspace: str) -> list[AppView]:
        rows = await self._reads.apps(workspace)
        return [self._view(row) for row in rows]

    async def get(self, workspace: str, ref: str) -> AppView:
        return self._view(await self._row(workspace, ref))

    async def history(self, workspace: str, ref: str) -> Sequence[VersionView]:
        row = await self._row(workspace, ref)
        return [
            VersionView(
                app=row.name, version=v.version, created=v.created, tag=v.tag, client=v.client,
                current=v.version == row.version and row.state is not AppState.STOPPED, functions=tuple(v.functions),
            )
            for v in await self._reads.app_versions(row.id)
        ]  # fmt: skip

    async def function(self, workspace: str, app: str, name: str, version: int | None = None) -> FunctionHandle:
        """Raises NotFoundError for what does not run, as other versions of an app than its newest do not."""
        found = self._p.registry.function(workspace, app, name)
        if version is not None and version != found.app.version:
            raise NotFoundError(
                f"app {app!r} runs version {found.app.version}, and version {version} cannot be called: leave version= out, or bring "
                f"an earlier one back: `freehold app history {app}` lists them, `freehold app rollback {app} VERSION` does it"
            )
        return handle(found)

    async def function_detail(self, workspace: str, function_id: str) -> FunctionDetail:
        """A function that runs, by its id."""
        function = self._p.registry.functions.get(function_id)
        if function is None or root_of(function.app.workspace) != root_of(workspace):
            raise NotFoundError(f"no function {function_id!r} runs now; its app may have stopped")
        spec = replace(self._p.registry.spec(function), serialized=None, json_schema=None)
        return FunctionDetail(
            handle=handle(function), app_id=function.app.id, app=function.app.name, version=function.app.version,
            image=image_digest(spec.image), spec=spec,
        )  # fmt: skip

    async def tag(self, workspace: str, ref: str, tags: dict[str, str]) -> None:
        """Give an app these tags instead of those it has."""
        row = await self._row(workspace, ref)
        async with self._lock(workspace, row.name if row.state is AppState.DEPLOYED else row.id):
            row = await self._row(workspace, row.id)
            await self._p.store.write(writes.put_apps([row._replace(tags=tags)]))
            if (live := self._p.registry.apps.get(row.id)) is not None:
                live.tags = tags

    def specs(self, workspace: str) -> Iterator[tuple[str, FunctionSpec]]:
        """App name and spec of every function that runs now."""
        for function in self._p.registry.functions.values():
            if function.app.workspace == workspace:
                yield function.app.name, function.spec

    # ---- making

    async def create(self, workspace: str, request: AppRequest, who: str = "") -> AppHandle:
        """Create an ephemeral app, or deploy one over the version that runs now; nothing changes when it can't be done."""
        name = request.spec.name or "app"
        check_name(name, "an app")
        async with self._lock(workspace, name if request.mode == "deploy" else request.replaces or new_id("ap")):
            if request.if_missing and (there := self._deployed_now(workspace, name)) is not None:
                return self._app_handle(there)
            admitted = await self._p.admission.admit(workspace, request.spec)
            if request.dry_run:
                return AppHandle(id="", name=name, version=0, url="", functions={}, warnings=admitted.warnings)
            made = await self._install(workspace, replace(admitted.spec, name=name), request, who)
            return replace(made, warnings=admitted.warnings)

    async def check(self, workspace: str, spec: AppSpec) -> None:
        """Raise what `create` would, as far as that can be told before files are sent and images built."""
        check_name(spec.name or "app", "an app")
        await self._p.admission.check(workspace, spec)

    def _lock(self, workspace: str, name: str) -> asyncio.Lock:
        """Held while the app of this name changes hands; it goes when nobody holds it."""
        return self._locks.setdefault((workspace, name), asyncio.Lock())

    async def rollback(self, workspace: str, ref: str, version: int | None = None) -> AppHandle:
        """Deploy an earlier version's spec again, as a new version."""
        row = await self._row(workspace, ref)
        past = await self._reads.app_versions(row.id)
        wanted = (
            version if version is not None else max((v.version for v in past if v.version < row.version), default=0)
        )
        found = next((v for v in past if v.version == wanted), None)
        if found is None or wanted == row.version:
            have = ", ".join(str(v.version) for v in past if v.version != row.version) or "none"
            raise NotFoundError(
                f"app {row.name!r} has no earlier version{f' {wanted}' if wanted else ''}; it has: {have}"
            )
        spec = msgspec.json.decode(found.spec, type=AppSpec)
        return await self.create(
            workspace, AppRequest(spec=spec, mode="deploy", tag=f"rollback to v{wanted}", client=found.client)
        )

    async def _install(self, workspace: str, spec: AppSpec, request: AppRequest, who: str) -> AppHandle:
        deploying = request.mode == "deploy"
        row = await (self._deployed(workspace, spec.name or "") if deploying else self._replaced(workspace, request))
        old = self._p.registry.apps.get(row.id) if row else None
        now = self._p.clock.now()
        state = {"deploy": AppState.DEPLOYED, "detached": AppState.DETACHED}.get(request.mode, AppState.EPHEMERAL)
        version = 1 + max((v.version for v in await self._reads.app_versions(row.id)), default=0) if row else 1
        app = LiveApp(
            id=row.id if row else new_id("ap"), name=spec.name or "", workspace=workspace, state=state, version=version,
            created=row.created if row else now, client="" if deploying else request.client or "unknown",
            client_seen=self._p.clock.monotonic(), description=spec.description, tags=spec.tags,
        )  # fmt: skip
        before = old.functions if old else {}
        app.functions = {f.name: self._live_function(app, f, before.get(f.name)) for f in spec.functions}
        changed = _changed(app, old)
        try:
            await self._p.endpoints.open(app)
            if request.strategy == "rolling":
                await asyncio.gather(*(self._warm(new, was) for new, was in changed))
            await self._p.store.write(*self._rows(app, spec, request, who, now), *self._p.schedules.begin(app))
        except BaseException:
            for new, _ in changed:
                for pool in new.pools.values():
                    self._p.fleet.close_pool(pool, grace_s=0.0, reason="its deployment failed", finish_s=0.0)
            if old is not None:
                await self._p.endpoints.open(old)
            await self._p.endpoints.close(app, but=old)
            raise
        self._switch(app, old, changed)
        self._p.schedules.changed()
        await self._p.endpoints.close(app, but=app)
        for function in app.functions.values():
            self._warm_minimum(function)
        return self._app_handle(app)

    def _deployed_now(self, workspace: str, name: str) -> LiveApp | None:
        named = (a for a in self._p.registry.apps.values() if a.name == name and a.workspace == workspace)
        return next((a for a in named if a.state is AppState.DEPLOYED), None)

    def _app_handle(self, app: LiveApp) -> AppHandle:
        return AppHandle(
            id=app.id, name=app.name, version=app.version, url=f"{self._p.url()}/apps/{app.id}",
            functions={n: handle(f) for n, f in app.functions.items()},
        )  # fmt: skip

    def _live_function(self, app: LiveApp, spec: FunctionSpec, before: LiveFunction | None) -> LiveFunction:
        digest = function_digest(spec)
        function = LiveFunction(
            id=before.id if before else new_id("fu"), app=app, spec=spec, digest=digest, version=app.version
        )
        if before is not None and before.digest == digest:
            function.pools, function.version = before.pools, before.version
        return function

    def _rows(self, app: LiveApp, spec: AppSpec, request: AppRequest, who: str, now: float) -> Sequence[Write]:
        functions = [
            FunctionRow(
                f.id, app.workspace, app.id, app.name, f.name, f.spec.kind, f.digest, image_digest(f.spec.image), app.version, now, None,
                msgspec.json.encode(f.spec),
            )
            for f in app.functions.values()
        ]  # fmt: skip
        sealed = replace(spec, functions=tuple(f.spec for f in app.functions.values()))
        return [
            writes.put_apps([AppRow(app.id, app.workspace, app.name, app.state, app.version, app.created, None, app.description, app.client, app.tags)]),
            writes.put_app_versions([
                AppVersionRow(app.id, app.version, now, request.tag, who or request.client, {f.name: f.id for f in app.functions.values()}, msgspec.json.encode(sealed))
            ]),
            *([writes.put_functions(functions), writes.delete_scalings(f.id for f in app.functions.values())] if functions else []),
        ]  # fmt: skip

    # ---- switching versions

    def _switch(self, app: LiveApp, old: LiveApp | None, changed: Changed) -> None:
        """Let the new version take over, at once and whole."""
        if old is not None:
            self._p.registry.remove(old)
        self._p.registry.add(app)
        self._reset_scaling(app)
        for new, was in changed:
            self._close(was, f"version {new.version} took over")
        for name, function in (old.functions if old else {}).items():
            if name not in app.functions:
                self._close(function, "its function is no longer in the app")

    def _reset_scaling(self, app: LiveApp) -> None:
        """What was changed of autoscalers holds until the next deployment."""
        ids, scalings = {f.id for f in app.functions.values()}, self._p.registry.scalings
        for key in [key for key in scalings if key[0] in ids]:
            del scalings[key]
        for function in app.functions.values():
            for pool in function.pools.values():
                pool.spec = self._p.registry.spec(function, pool.parameters, pool.variant)

    async def _warm(self, new: LiveFunction, was: LiveFunction) -> None:
        """Start one instance for every pool of the old version that has one, and wait until it is ready."""
        for pool in list(was.pools.values()):
            if not any(i.ready for i in pool.live):
                continue
            try:
                fresh = self._p.fleet.pool(new, pool.parameters, pool.variant)
            except InvalidError:  # the new version cannot be overridden so
                continue
            self._p.fleet.start(fresh, 1)
            while not any(i.ready for i in fresh.live):
                if fresh.blocked:
                    return  # no room beside the old one: it has to go first
                if not fresh.live:
                    raise StartError(
                        f"the new version of {new.name!r} does not start, so version {was.version} stays: {self._last_reason(fresh)}; "
                        f"`freehold app logs {new.app.name}` has its output"
                    )
                await asyncio.sleep(0.01)

    def _last_reason(self, pool: Pool) -> str:
        return pool.last_failure or "it ended"

    def _close(self, function: LiveFunction, reason: str) -> None:
        for pool in function.pools.values():
            self._p.fleet.close_pool(pool, grace_s=STOP_GRACE_S, reason=reason)

    def _warm_minimum(self, function: LiveFunction) -> None:
        if function.spec.scaling.min_instances and not function.spec.parameters:
            self._p.fleet.pool(function, b"").pump_soon()

    # ---- stopping

    async def stop(self, workspace: str, ref: str, reason: str = "the app was stopped") -> None:
        """Stop an app: its calls are cancelled, its instances run their exit hooks and go."""
        app = self._p.registry.apps.get(ref)
        if app is None or app.workspace != workspace:
            row = await self._row(workspace, ref)
            if row.state is AppState.STOPPED:
                return
            app = self._p.registry.apps.get(row.id) or _left(row)
        if app.id in self._stopping:
            return
        self._stopping.add(app.id)
        try:
            async with self._lock(workspace, app.name if app.state is AppState.DEPLOYED else app.id):
                app = self._p.registry.apps.get(app.id, app)  # a deployment may have gone before us
                pools = await self._stop(app, reason)
            for pool in pools:
                for instance_id in list(pool.instances):
                    await self._p.fleet.wait_ended(instance_id)
            await self._p.logs.drained(app.id)
        finally:
            self._stopping.discard(app.id)

    async def stop_all(self, workspace: str) -> None:
        """Stop every app of a workspace."""
        for app in [a for a in self._p.registry.apps.values() if a.workspace == workspace]:
            await self.stop(workspace, app.id, "its environment was deleted")

    async def _stop(self, app: LiveApp, reason: str) -> Sequence[Pool]:
        self._p.registry.remove(app)
        pools = [p for f in app.functions.values() for p in f.pools.values()]
        for count, call in enumerate([c for c in self._p.dispatcher.calls.values() if c.app_id == app.id], 1):
            self._p.dispatcher.cancel(call.id, reason=reason)
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)  # others have their turn
        for pool in pools:
            pool.fail_waiters(NotFoundError(f"app {app.name!r} was stopped"))
            self._p.fleet.close_pool(pool, grace_s=STOP_GRACE_S, reason=reason, finish_s=STOP_GRACE_S)
        await self._p.endpoints.stop(app)
        await self.on_stop(app.id)
        app.state = AppState.STOPPED
        await self._p.store.write(
            writes.set_app_state(app.id, AppState.STOPPED, self._p.clock.now()), writes.delete_schedules(app.id)
        )
        return pools

    async def reap(self) -> None:
        """Stop ephemeral apps whose client is gone, and detached ones that have nothing left to do."""
        now = self._p.clock.monotonic()
        for app in list(self._p.registry.apps.values()):
            if app.state is AppState.EPHEMERAL and app.client and now - app.client_seen > CLIENT_GRACE_S:
                self._stop_soon(app, "its client is gone")
            elif app.state is AppState.DETACHED:
                busy = any(c.app_id == app.id and not is_scheduled(c) for c in self._p.dispatcher.calls.values())
                app.client_seen = now if busy else app.client_seen
                if now - app.client_seen > CLIENT_GRACE_S:
                    self._stop_soon(app, "its work is done")

    def _stop_soon(self, app: LiveApp, reason: str) -> None:
        """Stop an app beside what goes on: its instances may take their time."""

        def done(task: asyncio.Task[None]) -> None:
            self._reaping.discard(task)
            if not task.cancelled() and task.exception() is not None:
                log.error("reap_failed", exc_info=task.exception(), extra={"app": app.name})

        task = asyncio.get_running_loop().create_task(self.stop(app.workspace, app.id, reason))
        self._reaping.add(task)
        task.add_done_callback(done)

    # ---- after a restart

    async def restore(self) -> None:
        """Bring the apps back that ran when the server ended."""
        for row in await self._reads.live_apps():
            version = await self._reads.app_version(row.id, row.version)
            if version is None:
                log.error("app_version_missing", extra={"app": row.name, "version": row.version})
                continue
            spec = msgspec.json.decode(version.spec, type=AppSpec)
            app = LiveApp(
                id=row.id, name=row.name, workspace=row.workspace, state=row.state, version=row.version, created=row.created,
                client=row.client, client_seen=self._p.clock.monotonic(), description=row.description, tags=row.tags,
            )  # fmt: skip
            for function in spec.functions:
                live = self._live_function(app, function, None)
                live.id = version.functions.get(function.name, live.id)
                app.functions[function.name] = live
            await self._p.endpoints.open(app)
            self._p.registry.add(app)
        await self._p.schedules.restore()

    def warm_minimums(self) -> None:
        for function in self._p.registry.functions.values():
            self._warm_minimum(function)

    # ---- views

    async def _deployed(self, workspace: str, name: str) -> AppRow | None:
        """The row of the deployed app of this name, running or stopped; runs of a program have a client, deployments none."""
        rows = [r for r in await self._reads.apps(workspace) if r.name == name and not r.client]
        return max(rows, key=lambda r: (r.state is AppState.DEPLOYED, r.created), default=None)

    async def _replaced(self, workspace: str, request: AppRequest) -> AppRow | None:
        """The row of the ephemeral app that this request is the next version of, if that still runs."""
        live = self._p.registry.apps.get(request.replaces)
        if live is None or live.workspace != workspace or live.state is not AppState.EPHEMERAL:
            return None
        return await self._row(workspace, live.id)

    async def _row(self, workspace: str, ref: str) -> AppRow:
        row = await self._reads.app(workspace, ref)
        if row is None:
            known = (r.name for r in await self._reads.apps(workspace))
            hint = did_you_mean(ref, known) or "; `freehold app list` shows what there is"
            raise NotFoundError(f"no app {ref!r}{hint}")
        return row

    def _view(self, row: AppRow) -> AppView:
        live = self._p.registry.apps.get(row.id)
        views = tuple(self.function_view(f) for f in live.functions.values()) if live else ()
        return AppView(
            id=row.id, name=row.name, state=row.state, version=row.version, created=row.created, stopped=row.stopped,
            description=row.description, instances=sum(v.instances for v in views), functions=views, tags=row.tags,
        )  # fmt: skip

    def function_view(self, function: LiveFunction) -> FunctionView:
        spec, pools = self._p.registry.spec(function), list(function.pools.values())
        return FunctionView(
            id=function.id, app_id=function.app.id, app=function.app.name, name=function.name, kind=spec.kind, digest=function.digest,
            endpoints=function.endpoints, image=image_digest(spec.image), cpu=cpu_of(spec.resources), memory_mib=memory_of(spec.resources),
            gpu=spec.resources.gpu, timeout_s=spec.timeout_s, min_instances=spec.scaling.min_instances,
            max_instances=spec.scaling.max_instances, instances=sum(len(p.live) for p in pools), backlog=sum(p.backlog for p in pools),
            running=sum(p.running for p in pools), doc=spec.doc, methods=tuple(m.name for m in spec.methods if m.web is None),
            schedule=describe(spec.schedule) if spec.schedule else None, next_run=function.timing.due if function.timing else None,
            web={name: _endpoint(web, function.endpoints[name]) for name, web in spec.endpoints().items() if name in function.endpoints},
        )  # fmt: skip


def _left(row: AppRow) -> LiveApp:
    """An app that runs no more, and whose end was not written down: it failed on the way, or a restart could not bring it back."""
    return LiveApp(
        id=row.id, name=row.name, workspace=row.workspace, state=row.state, version=row.version, created=row.created
    )


async def _nothing_more(_: str) -> None:
    """Until the server says what else goes with an app."""


def _endpoint(web: Web, url: str) -> EndpointView:
    own = web.kind == "fastapi_endpoint"
    return EndpointView(
        url=url, method=web.method if own else "", docs=web.docs and own, requires_proxy_auth=web.requires_proxy_auth
    )


def _changed(app: LiveApp, old: LiveApp | None) -> Changed:
    """Functions of the new version that are not as they were, each with what it was."""
    before = old.functions if old else {}
    return [(f, before[n]) for n, f in app.functions.items() if n in before and f.pools is not before[n].pools]
