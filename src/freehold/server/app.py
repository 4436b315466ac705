"""The server: the one place where its parts are wired together, started in order and stopped in reverse."""

import asyncio
import contextlib
import gc
import importlib
import logging
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import uvloop

from freehold.core.clock import SystemClock
from freehold.core.digests import image_digest
from freehold.core.home import Home
from freehold.core.ids import new_id
from freehold.core.states import AppState
from freehold.launchers.process.launcher import ProcessLauncher
from freehold.protocol.arena import remove
from freehold.protocol.frames import Welcome
from freehold.protocol.version import PROTOCOL_VERSION, VERSION
from freehold.server import claim, housekeeping, restart
from freehold.server.api.auth import Access, Authority, Principal
from freehold.server.api.contract import ApiConfig, Services
from freehold.server.dispatch.dispatcher import Dispatcher
from freehold.server.dispatch.fleet import Fleet
from freehold.server.dispatch.instance import Instance
from freehold.server.dispatch.record import Record
from freehold.server.dispatch.registry import Registry
from freehold.server.doors import Doors, shown
from freehold.server.events import Events
from freehold.server.hatches import Hatches
from freehold.server.ingress.contract import IngressConfig
from freehold.server.ingress.listeners import Ingress
from freehold.server.large import LargeResults
from freehold.server.link import Links
from freehold.server.logs import LogQuery, Logs, LogSource
from freehold.server.machine import raise_file_limit, survey
from freehold.server.measure import Measure
from freehold.server.pulse import Pulse
from freehold.server.sandboxes.parts import SandboxParts
from freehold.server.sandboxes.service import TERMINATED, Sandboxes
from freehold.server.services.admission import Admission
from freehold.server.services.apps import Apps, AppsParts
from freehold.server.services.attachments import ImageAttachments
from freehold.server.services.blobs import Blobs
from freehold.server.services.buckets import Buckets
from freehold.server.services.calls import Calls, CallsParts
from freehold.server.services.dict_files import DictFiles
from freehold.server.services.dicts import Dicts
from freehold.server.services.endpoints import Endpoints
from freehold.server.services.environments import Environments
from freehold.server.services.images import Images
from freehold.server.services.instance_commands import InstanceCommands
from freehold.server.services.instances import Instances
from freehold.server.services.pools import Pools
from freehold.server.services.prepare import Preparer
from freehold.server.services.queues import Queues
from freehold.server.services.schedules import Schedules
from freehold.server.services.secrets import Secrets
from freehold.server.services.status import Status
from freehold.server.services.terminals import Terminals
from freehold.server.services.volumes import Volumes
from freehold.server.settings import Settings
from freehold.server.store import writes
from freehold.server.store.sqlite import SqliteStore
from freehold.server.store.sqlite_open import SAFE_VERSION
from freehold.server.tunnels import Tunnels
from freehold.telemetry.logging import LoggingConfig, configure

log = logging.getLogger("freehold.server")
TICK_S = 0.2
RECALL_S = 0.025
SWEEP_S = 5.0
LONG_RUNNING_S = 1.0
OVERDUE_SLACK_S = 5.0


class Server:
    """Everything that one `freehold up` runs."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.home = Home(settings.home)
        self.clock = SystemClock()
        self.stopping = asyncio.Event()
        self.url = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._undo = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Come up: claim the home, open the store, wire the parts, bring back what ran, listen."""
        try:
            await self._start()
        except BaseException:
            await self._undo.aclose()
            raise

    async def stop(self) -> None:
        """Go down: take nothing new, end the instances, commit, let the home go."""
        self.home.server_file.unlink(missing_ok=True)
        for task in list(self._tasks):
            task.cancel()
        await self._undo.aclose()

    async def _start(self) -> None:
        home, settings, clock = self.home, self.settings, self.clock
        self._undo.callback(claim.claim(home).close)
        console = sys.stderr if sys.stderr.isatty() else None
        self._undo.callback(
            configure(
                LoggingConfig(
                    logs=home.logs, level=settings.log_level, console=console, max_bytes=settings.log_max_bytes
                )
            )
        )
        drafts = housekeeping.drafts(home)  # before there are any of ours
        remove(home.arena)
        home.arena.mkdir(mode=0o700)
        self._undo.callback(remove, home.arena)
        token = claim.token(home)
        self.store = store = SqliteStore(home.database)
        await store.open()
        self._undo.push_async_callback(store.close)
        ended = clock.now(), "the server ended"
        await store.write(writes.end_instances(*ended), writes.end_sandboxes(ended[0], TERMINATED, ended[1]))
        self.launcher = launcher = ProcessLauncher(home, host_apt=settings.host_apt, missing_apt=settings.missing_apt)
        self._undo.push_async_callback(launcher.close)
        self._wire(token)
        await self.environments.open()
        self.blobs.open()
        self.volumes.open()
        await self.dicts.open()
        await self.queues.open()
        self._undo.push_async_callback(self.queues.close)
        self.logs.start()
        self._undo.push_async_callback(self.logs.close)
        # in this order: who dials in must find its app, and its calls, as they were
        await self._open_ingress()
        await self.pools.restore()
        await self.apps.restore()
        await self._open_face(token)
        await self.links.bind(home)
        self._undo.push_async_callback(self.links.close)
        orphans = await restart.resume_calls(
            store=store, registry=self.registry, fleet=self.fleet, dispatcher=self.dispatcher, clock=clock
        )
        await self.links.serve()
        self.apps.warm_minimums()
        self.pools.warm_minimums()
        self._undo.push_async_callback(self.sandboxes.close)
        self._undo.push_async_callback(self.fleet.close, grace_s=settings.drain_s)
        self._keep(self._tick())
        self._keep(self._recall())
        self._keep(self._sweep())
        self._keep(self._hourly())
        self._keep(housekeeping.remove(drafts))
        self._keep(self.schedules.run())
        self._keep(self.buckets.keep_stored())
        self._keep(self._end_orphans(orphans))
        self.status.url = self.url
        self._announce()
        log.info("server_ready", extra={"url": self.url, "pid": os.getpid(), "version": VERSION})

    def _wire(self, token: str) -> None:
        home, settings, clock, store, launcher = self.home, self.settings, self.clock, self.store, self.launcher
        self.events = Events()
        self.registry = Registry()
        self.record = Record(store, clock)
        self.record.keep_s = settings.call_retention_days * 86_400
        self.fleet = Fleet(
            registry=self.registry, record=self.record, launcher=launcher, machine=survey(settings.devices), clock=clock,
            lease_s=settings.lease_s,
        )  # fmt: skip
        self.fleet.changed = self.events.publish
        self.measure = Measure(
            home.logs, self.registry, version=VERSION, call_later=asyncio.get_running_loop().call_later
        )
        self._undo.callback(self.measure.close)
        self.fleet.on_ready, self.record.observe = self.measure.ready, self.measure.input
        self.dispatcher = Dispatcher(registry=self.registry, record=self.record, fleet=self.fleet, clock=clock)
        self.fleet.dispatcher = self.dispatcher
        self.pulse = Pulse(registry=self.registry, record=self.record, publish=self.events.publish)
        self.fleet.welcome = welcome = Welcome(new_id("cl"), VERSION, str(home.arena))
        self.links = Links(
            dispatcher=self.dispatcher, fleet=self.fleet, record=self.record, clock=clock, token=token, welcome=welcome
        )
        self.links.client_seen = self._client_seen
        self.logs = Logs(
            home.logs,
            home.instances,
            max_bytes=settings.log_max_bytes,
            keep=settings.log_files_kept,
            running=self.fleet.running_call,
        )
        self.fleet.logs = InstanceLogs(self.logs, home)
        self.secrets = Secrets(home, store)
        self.images = Images(
            launcher=launcher, store=store, clock=clock, secrets=self.secrets, users=self._image_users
        )  # fmt: skip
        self.blobs, self.volumes = Blobs(home.blobs), Volumes(home.volumes)
        self.buckets = Buckets(home.buckets, self.secrets)
        self._undo.push_async_callback(self.buckets.close)
        self.dicts, self.queues = Dicts(store, DictFiles(home.dicts, clock), clock), Queues(store, clock)
        self.dispatcher.keep_large = LargeResults(home.arena, self.blobs).keep
        self.doors = Doors(
            registry=self.registry, fleet=self.fleet, record=self.record, clock=clock, host=settings.host, token=token
        )
        self.fleet.preparer = preparer = Preparer(
            home=home, images=self.images, blobs=self.blobs, volumes=self.volumes, buckets=self.buckets, secrets=self.secrets,
            registry=self.registry, lease_s=settings.lease_s,
        )  # fmt: skip
        launcher.attachments = ImageAttachments(preparer=preparer, secrets=self.secrets, volumes=self.volumes)
        admission = Admission(
            machine=self.fleet.machine, images=self.images, secrets=self.secrets, volumes=self.volumes, buckets=self.buckets,
            blobs=self.blobs, clock=clock,
        )  # fmt: skip
        self.schedules = Schedules(
            registry=self.registry, dispatcher=self.dispatcher, record=self.record, store=store, clock=clock
        )
        endpoints = Endpoints(doors=self.doors, store=store, clock=clock)
        self.pools = Pools(registry=self.registry, fleet=self.fleet, store=store, admission=admission, clock=clock)
        self.apps = Apps(
            AppsParts(
                registry=self.registry, dispatcher=self.dispatcher, fleet=self.fleet, store=store, admission=admission,
                endpoints=endpoints, schedules=self.schedules, logs=self.logs, clock=clock, url=lambda: self.url,
            )
        )  # fmt: skip
        self.calls = Calls(
            CallsParts(
                dispatcher=self.dispatcher, registry=self.registry, record=self.record, store=store, doors=self.doors
            )
        )
        self.terminals = Terminals(registry=self.registry, fleet=self.fleet)
        self.instances = Instances(fleet=self.fleet, store=store)
        self.instance_commands = InstanceCommands(
            instances=self.instances, launcher=launcher, secrets=self.secrets, folder=home.sandboxes / ".spools"
        )
        self._undo.push_async_callback(self.instance_commands.close)
        self.tunnels = Tunnels(
            host=settings.host, shown=shown(settings.host).strip("[]"), instance=self.fleet.instances.get
        )
        self.environments = Environments(store=store, clock=clock)
        self.environments.empty = [
            self.apps.stop_all, endpoints.forget_all, self.secrets.delete_all, self.volumes.delete_all, self.dicts.delete_all, self.queues.delete_all,
            self.images.forget_names,
        ]  # fmt: skip
        self.links.environment = self.environments.find
        self.sandboxes = Sandboxes(
            SandboxParts(
                home=home, launcher=launcher, registry=self.registry, places=self.fleet.places, images=self.images, secrets=self.secrets,
                volumes=self.volumes, files=preparer, store=store, logs=self.logs, clock=clock, publish=self.events.publish,
            )
        )  # fmt: skip
        self.apps.on_stop = self.sandboxes.end_app
        self.status = Status(
            store=store,
            fleet=self.fleet, registry=self.registry, launcher=launcher, clock=clock, home=home, version=VERSION, pid=os.getpid(),
            started=clock.now(), sqlite=_sqlite_guard(),
        )  # fmt: skip

    # ---- listening

    async def _open_face(self, token: str) -> None:
        face: Any = await asyncio.to_thread(importlib.import_module, "freehold.server.face")
        services = Services(
            apps=self.apps, calls=self.calls, pools=self.pools, instances=self.instances, instance_commands=self.instance_commands, tunnels=self.tunnels, sandboxes=self.sandboxes, images=self.images, blobs=self.blobs, volumes=self.volumes,
            buckets=self.buckets, dicts=self.dicts, queues=self.queues, secrets=self.secrets, environments=self.environments, terminals=self.terminals, status=self.status,
            events=self.events, links=self.links, logs=self.logs, metrics=self.measure.metrics.render,
            shutdown=self.stopping.set, log_query=LogQuery,
        )  # fmt: skip
        authority = Authority(
            token=token,
            key=self.secrets.signing_key,
            instance=self._instance_principal,
            environment=self.environments.find,
        )
        config = ApiConfig(host=self.settings.host, on_request=self.measure.request)
        door = await face.open_face(services, authority, config, socket=self.home.api_socket)
        self._undo.push_async_callback(door.close, grace_s=0.2)
        self._undo.callback(self.queues.release)  # who waits at the door is sent home before it closes

    async def _open_ingress(self) -> None:
        settings, home = self.settings, self.home
        self.ingress = Ingress(
            self.doors,
            IngressConfig(
                host=settings.host,
                port=settings.port,
                api=f"unix:{home.api_socket}",
                acquire_timeout_s=settings.acquire_timeout_s,
            ),
            on_request=self.measure.request,
        )
        await self.ingress.open()
        self._undo.push_async_callback(self.ingress.close, grace_s=settings.drain_s)
        self.doors.listener, self.doors.first_port = self.ingress, self.ingress.port
        hatches = Hatches(self.ingress, self.doors.ports)
        self.fleet.on_joined, self.fleet.on_gone = hatches.open, partial(_gone, hatches, self.tunnels)
        self._undo.callback(self.tunnels.close_all)
        host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104 (compared, not bound)
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.ingress.port}"

    def _image_users(self) -> dict[str, set[str]]:
        """Apps by the digest of the images that their functions, sandboxes, and instances that still finish, run from."""
        pairs = [(f.spec.image, f.app.name) for f in self.registry.functions.values()]
        pairs += [(i.pool.spec.image, i.pool.app_name) for i in self.fleet.instances.values()]
        found: dict[str, set[str]] = {}
        for image, app in pairs:
            found.setdefault(image_digest(image), set()).add(app)
        for digest, app in self.sandboxes.images():
            found.setdefault(digest, set()).add(app)
        return found

    def _instance_principal(self, token: str) -> Principal | None:
        instance = self.fleet.by_token.get(token)
        return Principal(role=Access.CLIENT, workspace=instance.pool.workspace, name=instance.id) if instance else None

    # ---- time

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            _guarded(self.fleet.tick)
            _guarded(self.pulse.beat)
            _guarded(self.store.look)
            _guarded(lambda: self.dispatcher.notice_long_running(LONG_RUNNING_S))
            _guarded(self._end_overdue)
            _guarded(self._see_clients)
            try:
                await self.apps.reap()
            except Exception:
                log.exception("reap_failed")

    def _end_overdue(self) -> None:
        for instance, task in self.dispatcher.overdue(OVERDUE_SLACK_S):
            self.dispatcher.time_out(instance, task)

    def _see_clients(self) -> None:
        for client in self.links.clients:
            self._client_seen(client.name)

    async def _recall(self) -> None:
        while True:
            await asyncio.sleep(RECALL_S)
            _guarded(self.fleet.recall_stalled)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            for kept in (self.dicts, self.queues):
                try:
                    await kept.sweep()
                except Exception:
                    log.exception("sweep_failed")

    async def _hourly(self) -> None:
        while True:
            try:
                await housekeeping.prune(self.store, self.clock, keep_s=self.settings.call_retention_days * 86_400)
                await housekeeping.sweep_instance_folders(self.home, self.fleet.instances)
            except Exception:
                log.exception("housekeeping_failed")
            await asyncio.sleep(3600)

    async def _end_orphans(self, orphans: list[Any]) -> None:
        await asyncio.sleep(restart.ORPHAN_GRACE_S)
        await restart.end_orphans(orphans, store=self.store, dispatcher=self.dispatcher, clock=self.clock)

    def _client_seen(self, name: str) -> None:
        now = self.clock.monotonic()
        for app in self.registry.apps.values():
            if app.client == name and app.state is not AppState.DEPLOYED:
                app.client_seen = now

    def _announce(self) -> None:
        facts = {
            "pid": os.getpid(),
            "url": self.url,
            "version": VERSION,
            "protocol": PROTOCOL_VERSION,
            "started": time.time(),
            "id": self.fleet.welcome.server,
        }
        claim.announce(self.home, facts)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.critical("server_task_ended", exc_info=task.exception())


class InstanceLogs:
    """Tells the log collector of instances as they come and go."""

    def __init__(self, logs: Logs, home: Home) -> None:
        self._logs, self._home = logs, home

    def begin(self, instance: Instance) -> None:
        pool = instance.pool
        kind = "inference" if pool.spec.kind == "cls" or pool.spec.web else "training"
        self._logs.add(
            instance.id,
            LogSource(
                app=pool.app_name,
                app_id=pool.app_id,
                function=pool.function_name,
                type=kind,
                service="instance",
                workspace=pool.workspace,
            ),
        )

    def end(self, instance: Instance) -> None:
        self._logs.ended(instance.id)

    def note(self, instance: Instance, text: str) -> None:
        self._logs.note(instance.id, text)


def serve(settings: Settings, *, ready: Callable[[str], object]) -> None:
    """Run a server until SIGTERM or SIGINT; `ready` gets its URL once it takes calls."""
    raise_file_limit()
    uvloop.run(_serve(settings, ready))


async def _serve(settings: Settings, ready: Callable[[str], object]) -> None:
    server = Server(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stopping.set)
    await server.start()
    gc.enable()
    gc.freeze()  # what is here now stays: the collector need not walk it again and again
    gc.set_threshold(50_000, 50, 1000)
    ready(server.url)
    await server.stopping.wait()
    log.info("server_stops")
    await server.stop()


def _gone(hatches: Hatches, tunnels: Tunnels, instance: Instance) -> None:
    hatches.close(instance)
    tunnels.ended(instance.id)


def _guarded(step: Callable[[], object]) -> None:
    try:
        step()
    except Exception:
        log.exception("tick_failed")


def _sqlite_guard() -> str:
    if sqlite3.sqlite_version_info >= SAFE_VERSION:
        return "ok"
    return (
        f"SQLite {sqlite3.sqlite_version} has a WAL bug with several writers (fixed in 3.51.3); this server has one writer, so it is safe as "
        "long as no other program writes to its database"
    )
