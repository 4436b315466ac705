"""The sandboxes of this platform: made, found, given commands, ended. The launcher holds them; the store remembers them."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from freehold.core import listeners
from freehold.core.clock import Clock
from freehold.core.digests import image_digest
from freehold.core.errors import (
    AlreadyExistsError,
    ConflictError,
    Error,
    InvalidError,
    NotFoundError,
    ResourceExhaustedError,
)
from freehold.core.home import Home
from freehold.core.ids import is_id, new_id
from freehold.core.names import check_name, is_variable
from freehold.core.specs import ImageSpec, Mount, SandboxSpec, SecretRef, VolumeMount
from freehold.core.states import SANDBOX, SandboxState, move
from freehold.launchers.contract import Network, Sandbox, SandboxCommand, SandboxLauncher
from freehold.launchers.contract import SandboxRequest as Place
from freehold.protocol.schemas import CommandRequest, CommandView, SandboxRequest, SandboxView, SnapshotView, TunnelView
from freehold.server.dispatch.places import Places
from freehold.server.dispatch.registry import LiveApp, Registry
from freehold.server.logs.service import Logs
from freehold.server.logs.words import LogSource
from freehold.server.sandboxes import commands, outbound
from freehold.server.sandboxes.commands import Command, Spool
from freehold.server.sandboxes.outbound import Allowed, Outbound
from freehold.server.sandboxes.streams import Output
from freehold.server.sandboxes.tunnels import Tunnel
from freehold.server.store import writes
from freehold.server.store.contract import Store
from freehold.server.store.reads import Reads
from freehold.server.store.rows import SandboxFilter, SandboxRow

log = logging.getLogger("freehold.sandboxes")
MAIN = "main"
MOST = 500  # sandboxes at once, beside what the machine's memory allows
TERMINATED, TIMED_OUT = 137, 124
_COMMANDS, _FINISHED = 128, 64  # of one sandbox: running at once, and kept after their end
_KEPT, _KEPT_S = 64, 900.0  # ended sandboxes whose output can still be read, and for how long
_ARGUMENTS_BYTES, _ENV_BYTES = 2**16, 2**20
_MEMORY_SHARE = 0.75  # of the machine's, for one that names no limit
_IDLE_LOOK_S = 0.5


class Images(Protocol):
    async def admit(self, workspace: str, spec: ImageSpec) -> ImageSpec: ...
    async def path(self, spec: ImageSpec) -> Path: ...


class Secrets(Protocol):
    async def admit(self, workspace: str, ref: SecretRef, where: str) -> SecretRef: ...
    async def values(self, workspace: str, ref: str) -> dict[str, str]: ...


class Volumes(Protocol):
    async def host_path(
        self, workspace: str, name: str, *, create: bool = False, sub_path: str | None = None
    ) -> Path: ...


class Files(Protocol):
    async def unpacked(self, digest: str) -> Path: ...


@dataclass(kw_only=True)
class SandboxParts:
    """What sandboxes are made from."""

    home: Home
    launcher: SandboxLauncher
    registry: Registry
    places: Places
    images: Images
    secrets: Secrets
    volumes: Volumes
    files: Files
    store: Store
    logs: Logs
    clock: Clock
    publish: Callable[..., None]


@dataclass(eq=False, kw_only=True)
class Live:
    """A sandbox of this server's, running or ended a while ago."""

    row: SandboxRow
    spec: SandboxSpec
    image: Path = field(default_factory=Path)
    env: dict[str, str] = field(default_factory=dict[str, str])
    workdir: str = "/root"
    held: Sandbox | None = None
    commands: dict[str, Command] = field(default_factory=dict[str, Command])
    tunnels: dict[int, TunnelView] = field(default_factory=dict[int, TunnelView])
    ways: list[Tunnel] = field(default_factory=list[Tunnel])
    outbound: Outbound | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    used: float = 0.0  # monotonic: when something was last asked of it
    timers: list[asyncio.TimerHandle] = field(default_factory=list[asyncio.TimerHandle])
    ending: "asyncio.Task[None] | None" = None

    @property
    def id(self) -> str:
        return self.row.id


class Sandboxes:
    """All sandboxes. Methods may be called side by side."""

    def __init__(self, parts: SandboxParts) -> None:
        self._p = parts
        self._reads = Reads(parts.store)
        self._live: dict[str, Live] = {}
        self._names: dict[tuple[str, str], str] = {}  # app's id and name: sandbox
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    # ---- made

    async def create(self, workspace: str, request: SandboxRequest) -> SandboxView:
        """Start a sandbox; it runs when this returns."""
        app = self._p.registry.app(workspace, request.app)
        spec = request.spec
        _check(spec)
        self._refuse_crowd()
        now = self._p.clock.now()
        row = SandboxRow(
            new_id("sb"), workspace, app.id, app.name, spec.name, SandboxState.STARTING, now, timeout_s=spec.timeout_s, tags=dict(spec.tags),
            image=image_digest(spec.image),
        )  # fmt: skip
        live = Live(row=row, spec=spec, used=self._p.clock.monotonic())
        self._take_name(app, live)
        self._live[live.id] = live
        try:
            await self._p.store.write(writes.put_sandboxes([row]))
            await self._start(live)
        except BaseException as error:
            reason = str(error) or type(error).__name__
            await asyncio.shield(self._finish(live, SandboxState.FAILED, None, reason))
            raise
        return view(live.row)

    def _refuse_crowd(self) -> None:
        if self._closed:
            raise ConflictError("the server is going down")
        running = sum(not one.row.state.final for one in self._live.values())
        if running >= MOST:
            raise ResourceExhaustedError(f"{running} sandboxes run already, and no more than {MOST} may: terminate one")

    def _take_name(self, app: LiveApp, live: Live) -> None:
        if live.spec.name is None:
            return
        key = (app.id, live.spec.name)
        if key in self._names:
            raise AlreadyExistsError(
                f"a sandbox named {live.spec.name!r} runs in app {app.name!r} already: terminate it, or take Sandbox.from_name(...)"
            )
        self._names[key] = live.id

    async def _start(self, live: Live) -> None:
        p, spec, workspace = self._p, live.spec, live.row.workspace
        network = self._network(spec)
        shared = frozenset(spec.ports if network == "host" else ())
        await self._refuse_taken(shared)
        devices = p.places.reserve(live.id, spec.resources, shared)
        live.image = await p.images.path(await p.images.admit(workspace, spec.image))
        live.row = live.row._replace(image=live.image.name)  # as the server resolved it
        image_env, workdir = await p.launcher.sandbox_env(live.image)
        live.workdir = spec.workdir or workdir or "/root"
        walls = _PROXIES if spec.walled and not spec.block_network else {}
        cards = {"CUDA_VISIBLE_DEVICES": ",".join(str(d.index) for d in devices if not d.simulated)} if devices else {}
        secret = await self._secrets(workspace, spec.secrets)
        live.env = {**image_env, **cards, **walls, "MODAL_SANDBOX_ID": live.id, **secret, **spec.env}
        sockets = await self._open_outbound(live)
        limit = spec.resources.memory_limit_mib or int(p.places.machine.memory_mib * _MEMORY_SHARE)
        live.held = await p.launcher.open_sandbox(
            Place(
                sandbox=live.id, image=live.image, files=await self._unpacked(spec.mounts), volumes=await self._mounts(workspace, spec.volumes),
                network=network, sockets=sockets, devices=any(not d.simulated for d in devices), workdir=live.workdir,
                cpu_limit=spec.resources.cpu_limit, memory_limit_mib=limit,
            )
        )  # fmt: skip
        await self._open_tunnels(live, live.held)
        self._watch(live, live.held)
        if spec.command:
            await self._run_main(live, live.held)
        self._move(live, SandboxState.RUNNING)
        await p.store.write(writes.put_sandboxes([live.row]))

    async def _unpacked(self, mounts: Sequence[Mount]) -> tuple[tuple[Path, str], ...]:
        return tuple([(await self._p.files.unpacked(m.digest), m.remote_path) for m in mounts])

    async def _mounts(self, workspace: str, volumes: Sequence[VolumeMount]) -> tuple[tuple[Path, str, bool], ...]:
        found = [(v, await self._host_path(workspace, v)) for v in volumes]
        return tuple((path, v.path, v.read_only) for v, path in found)

    async def _host_path(self, workspace: str, volume: VolumeMount) -> Path:
        create = volume.create_if_missing or volume.ephemeral
        return await self._p.volumes.host_path(workspace, volume.name, create=create, sub_path=volume.sub_path)

    async def _secrets(self, workspace: str, refs: Sequence[SecretRef]) -> dict[str, str]:
        env: dict[str, str] = {}
        for ref in refs:
            if ref.values is not None:
                env |= ref.values
            else:
                kept = await self._p.secrets.admit(workspace, ref, "sandbox")
                env |= await self._p.secrets.values(workspace, kept.sealed or kept.name or "")
        return env

    async def _open_outbound(self, live: Live) -> Path | None:
        spec = live.spec
        if not spec.walled or spec.block_network:
            return None
        folder = self._p.home.run / "sb" / live.id[-12:]
        live.outbound = Outbound(Allowed.of(spec.cidrs, spec.domains), folder)
        await live.outbound.open()
        return folder

    async def _open_tunnels(self, live: Live, held: Sandbox) -> None:
        for port in live.spec.ports:
            tunnel = Tunnel(held, port)
            live.ways.append(tunnel)
            live.tunnels[port] = TunnelView(port=port, host="127.0.0.1", host_port=await tunnel.open())

    async def _refuse_taken(self, ports: frozenset[int]) -> None:
        """Ports of the machine's that a sandbox without a network of its own could not serve on."""
        for port in sorted(ports):
            who = self._p.places.holder(port) or await asyncio.to_thread(listeners.holder, port)
            if who is not None:
                raise ResourceExhaustedError(
                    f"port {port} is held by {who}: sandboxes with ports share the machine's here, one a port "
                    f"({self._p.launcher.lacks_network()}); end that one, or take another port"
                )

    def _network(self, spec: SandboxSpec) -> Network:
        if spec.walled:
            return "none"
        return "own" if spec.ports and not self._p.launcher.lacks_network() else "host"

    async def _run_main(self, live: Live, held: Sandbox) -> None:
        source = LogSource(
            app=live.row.app, app_id=live.row.app_id, function="sandbox", type="training", service="sandbox"
        )
        self._p.logs.add(live.id, source)
        raw = os.open(
            self._p.home.instances / live.id / "output",
            os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW,
            0o600,
        )

        def tee(data: bytes) -> None:
            with contextlib.suppress(OSError):  # a full disk: the stream itself goes on
                os.write(raw, data.replace(b"\x1e", b""))  # which marks the runner's own records

        wanted = SandboxCommand(
            argv=live.spec.command,
            env=live.env,
            workdir=live.workdir,
            make_workdir=True,
            terminal=(24, 80) if live.spec.terminal else None,
        )
        try:
            main = await commands.start(held, wanted, MAIN, Spool(folder=self._spools(live), newest=True, tee=tee))
        except BaseException:
            os.close(raw)
            raise
        live.commands[MAIN] = main
        main.exited.add_done_callback(
            lambda f: held.gone.is_set() or self._end_soon(live, SandboxState.EXITED, f.result(), None)
        )

        async def close_raw() -> None:
            for output in main.outputs.values():
                await output.ended()
            os.close(raw)
            self._p.logs.ended(live.id)

        self._keep(close_raw())

    def _watch(self, live: Live, held: Sandbox) -> None:
        loop, spec = asyncio.get_running_loop(), live.spec
        why = f"its timeout of {spec.timeout_s:g} s"
        live.timers.append(
            loop.call_later(spec.timeout_s, lambda: self._end_soon(live, SandboxState.TIMED_OUT, TIMED_OUT, why))
        )

        async def gone() -> None:
            await held.gone.wait()
            self._end_soon(live, SandboxState.TERMINATED, TERMINATED, held.fault or "its first process was killed")

        self._keep(gone())
        if spec.idle_timeout_s:
            self._look_idle(live, spec.idle_timeout_s)

    def _look_idle(self, live: Live, most_s: float) -> None:
        now = self._p.clock.monotonic()
        busy = any(c.returncode is None for name, c in live.commands.items() if name != MAIN) or any(
            t.used for t in live.ways
        )
        if busy:
            live.used = now
        if now - live.used >= most_s:
            self._end_soon(live, SandboxState.TERMINATED, TERMINATED, f"it was idle for {most_s:g} s")
            return
        timer = asyncio.get_running_loop().call_later(min(_IDLE_LOOK_S, most_s), self._look_idle, live, most_s)
        live.timers = [t for t in live.timers if not t.cancelled() and t.when() > asyncio.get_running_loop().time()] + [
            timer
        ]

    # ---- found

    async def list(
        self, workspace: str, which: SandboxFilter, tags: dict[str, str] | None = None
    ) -> Sequence[SandboxView]:
        rows = await self._reads.sandboxes(workspace, which)
        rows = [self._live[r.id].row if r.id in self._live else r for r in rows]
        return [view(r) for r in rows if tags is None or tags.items() <= r.tags.items()]

    async def get(self, workspace: str, sandbox: str) -> SandboxView:
        live = self._live.get(sandbox)
        if live is not None and live.row.workspace == workspace:
            return view(live.row)
        row = await self._reads.sandbox(workspace, sandbox) if is_id(sandbox, "sb") else None
        if row is None:
            raise NotFoundError(f"no sandbox {sandbox!r}; `GET /v1/sandboxes` shows what there is")
        return view(row)

    def images(self) -> Sequence[tuple[str, str]]:
        """Digests of the images under running sandboxes, with the names of their apps."""
        return [(one.row.image, one.row.app) for one in self._live.values() if not one.ended.is_set()]

    async def wait(self, workspace: str, sandbox: str, timeout_s: float) -> SandboxView:
        """The sandbox once it has ended, or as it is after so long."""
        live = self._live.get(sandbox)
        if live is not None and live.row.workspace == workspace:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await live.ended.wait()
        return await self.get(workspace, sandbox)

    async def set_tags(self, workspace: str, sandbox: str, tags: dict[str, str]) -> SandboxView:
        live = self._running(workspace, sandbox, "take tags")
        live.row = live.row._replace(tags=tags)
        await self._p.store.write(writes.put_sandboxes([live.row]))
        return view(live.row)

    def tunnels(self, workspace: str, sandbox: str) -> Sequence[TunnelView]:
        return list(self._running(workspace, sandbox, "be reached").tunnels.values())

    # ---- commands

    async def run(self, workspace: str, sandbox: str, request: CommandRequest) -> CommandView:
        """Start a command; its streams are read apart."""
        live = self._running(workspace, sandbox, "run a command")
        assert live.held is not None
        _check_command(request)
        self._make_room(live)
        wanted = SandboxCommand(
            argv=request.argv, env=live.env | await self._secrets(workspace, request.secrets) | request.env,
            workdir=request.workdir or live.workdir, make_workdir=request.workdir is None, terminal=request.terminal, tool=request.tool,
            arguments=request.arguments,
        )  # fmt: skip
        live.used = self._p.clock.monotonic()
        command = await commands.start(
            live.held, wanted, new_id("pr"), Spool(folder=self._spools(live), silent=request.silent), request.timeout_s
        )
        live.commands[command.id] = command
        return await command.view()

    def command(self, workspace: str, sandbox: str, command: str) -> Command:
        live = self._live.get(sandbox)
        if live is None or live.row.workspace != workspace:
            raise NotFoundError(f"sandbox {sandbox!r} has ended, or there is none; what it wrote is in its app's logs")
        found = live.commands.get(command)
        if found is None and command == MAIN:
            raise NotFoundError(f"sandbox {sandbox} has no command of its own: it was made without one")
        if found is None:
            raise NotFoundError(f"sandbox {sandbox} has no command {command!r}, or it ended long ago")
        live.used = self._p.clock.monotonic()
        return found

    def output(self, workspace: str, sandbox: str, command: str, stream: str) -> Output:
        return self.command(workspace, sandbox, command).outputs[stream]

    async def wait_command(self, workspace: str, sandbox: str, command: str, timeout_s: float) -> CommandView:
        found = self.command(workspace, sandbox, command)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await found.ended.wait()
        return await found.view()

    async def signal(self, workspace: str, sandbox: str, command: str, number: int) -> None:
        if not 0 < number < 65:
            raise InvalidError(f"signal {number} is none: give 1 to 64, such as 15")
        live, found = self._running(workspace, sandbox, "take a signal"), self.command(workspace, sandbox, command)
        if live.held is not None and found.returncode is None:
            await live.held.signal(found.number, number)

    async def resize(self, workspace: str, sandbox: str, command: str, size: tuple[int, int]) -> None:
        live, found = self._running(workspace, sandbox, "be resized"), self.command(workspace, sandbox, command)
        if live.held is not None:
            await live.held.resize(found.number, *(max(1, min(n, 10_000)) for n in size))

    def _make_room(self, live: Live) -> None:
        """Refuse one too many, and forget those that ended longest ago."""
        own = [c for name, c in live.commands.items() if name != MAIN]
        running = sum(c.returncode is None for c in own)
        if running >= _COMMANDS:
            raise ResourceExhaustedError(f"{running} commands run in sandbox {live.id} already: wait for one")
        for old in [c for c in own if c.returncode is not None][:-_FINISHED]:
            old.discard()
            del live.commands[old.id]

    async def snapshot(self, workspace: str, sandbox: str) -> SnapshotView:
        """Keep its files as an image."""
        live = self._running(workspace, sandbox, "be snapshotted")
        spec = await self._p.launcher.snapshot_sandbox(live.id, live.image)
        await self._p.images.path(spec)
        return SnapshotView(spec=spec, digest=image_digest(spec))

    # ---- ended

    async def terminate(self, workspace: str, sandbox: str) -> SandboxView:
        """End it; nothing of it runs when this returns."""
        live = self._live.get(sandbox)
        if live is not None and live.row.workspace == workspace:
            self._end_soon(live, SandboxState.TERMINATED, TERMINATED, "it was terminated")
            await live.ended.wait()
        return await self.get(workspace, sandbox)

    async def end_app(self, app_id: str) -> None:
        """An app has stopped, and its sandboxes go with it."""
        await self._end_all([one for one in self._live.values() if one.row.app_id == app_id], "its app was stopped")

    async def close(self) -> None:
        self._closed = True
        await self._end_all(list(self._live.values()), "the server ended")
        for live in list(self._live.values()):
            self._drop(live)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _end_all(self, those: Sequence[Live], reason: str) -> None:
        for live in those:
            self._end_soon(live, SandboxState.TERMINATED, TERMINATED, reason)
        await asyncio.gather(*(live.ended.wait() for live in those))

    def _end_soon(self, live: Live, state: SandboxState, code: int, reason: str | None) -> None:
        """The first end counts."""
        if live.ending is None and not live.row.state.final:
            live.ending = self._keep(self._finish(live, state, code, reason))

    async def _finish(self, live: Live, state: SandboxState, code: int | None, reason: str | None) -> None:
        if live.ended.is_set():
            return
        for timer in live.timers:
            timer.cancel()
        if live.held is not None:
            await live.held.kill()
        for way in live.ways:
            await way.close()
        if live.outbound is not None:
            await live.outbound.close()
        self._p.places.release(live.id)
        if live.spec.name is not None and self._names.get((live.row.app_id, live.spec.name)) == live.id:
            del self._names[live.row.app_id, live.spec.name]
        self._move(live, state)
        live.row = live.row._replace(ended=self._p.clock.now(), returncode=code, reason=reason)
        try:
            await self._p.store.write(writes.put_sandboxes([live.row]))
        except Error:
            log.exception("sandbox_not_recorded", extra={"sandbox": live.id})
        live.ended.set()
        self._retire(live)
        with contextlib.suppress(OSError):
            await self._p.launcher.forget_sandbox(live.id)

    def _move(self, live: Live, state: SandboxState) -> None:
        if live.row.state is not state:
            live.row = live.row._replace(state=move(SANDBOX, live.row.state, state))
        self._p.publish("sandbox", live.id, state.value)

    def _retire(self, live: Live) -> None:
        """Keep what it wrote for a while, of so many."""
        asyncio.get_running_loop().call_later(_KEPT_S, self._drop, live)
        ended = [one for one in self._live.values() if one.ended.is_set()]
        for old in ended[:-_KEPT]:
            self._drop(old)

    def _drop(self, live: Live) -> None:
        self._live.pop(live.id, None)
        for command in live.commands.values():
            command.discard()
        live.commands.clear()

    # ---- how

    def _running(self, workspace: str, sandbox: str, what: str) -> Live:
        live = self._live.get(sandbox)
        if live is None or live.row.workspace != workspace:
            raise NotFoundError(f"no sandbox {sandbox!r} runs here that could {what}")
        if live.row.state.final or live.ending is not None or live.held is None:
            raise ConflictError(
                f"sandbox {sandbox} has ended ({live.row.reason or live.row.state.value}), and cannot {what}: make another"
            )
        return live

    def _spools(self, live: Live) -> Path:
        return self._p.home.sandboxes / ".spools" / live.id[-12:]

    def _keep(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


_RELAY = "http://127.0.0.1:3128"
_PROXIES = {name: _RELAY for one in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") for name in (one, one.lower())} | {
    "NO_PROXY": "localhost,127.0.0.1,::1", "no_proxy": "localhost,127.0.0.1,::1",
}  # fmt: skip


def view(row: SandboxRow) -> SandboxView:
    return SandboxView(
        id=row.id, app_id=row.app_id, app=row.app, name=row.name, state=row.state, created=row.created, ended=row.ended,
        returncode=row.returncode, reason=row.reason, image=row.image, timeout_s=row.timeout_s, tags=row.tags,
    )  # fmt: skip


def _check(spec: SandboxSpec) -> None:
    if spec.name is not None:
        check_name(spec.name, "a sandbox")
    for name, value, most in (
        ("timeout", spec.timeout_s, 7 * 86_400),
        ("idle_timeout", spec.idle_timeout_s, 7 * 86_400),
    ):
        if value is not None and not 0 < value <= most:
            raise InvalidError(f"sandbox: {name}={value!r} is not a number of seconds above 0 and up to {most}")
    if spec.block_network and (spec.ports or spec.cidrs is not None or spec.domains is not None):
        raise InvalidError(
            "sandbox: with block_network=True there are neither open ports nor allowlists: leave them out"
        )
    wrong = next((p for p in spec.ports if not 0 < p < 65_536), None)
    if wrong is not None or len(set(spec.ports)) != len(spec.ports):
        raise InvalidError(f"sandbox: {wrong or spec.ports!r}: give each port once, 1 to 65535")
    outbound.check(spec.cidrs, spec.domains)
    _check_words(spec.command, spec.env)
    _check_folder(spec.workdir)
    for volume in spec.volumes:
        _check_folder(volume.path)


def _check_command(request: CommandRequest) -> None:
    if not request.tool and not request.argv:
        raise InvalidError("a command in a sandbox needs at least its program: exec('python', '-c', ...)")
    if request.timeout_s is not None and request.timeout_s <= 0:
        raise InvalidError(f"exec: timeout={request.timeout_s!r} is not a number of seconds above 0")
    _check_words(request.argv, request.env)
    _check_folder(request.workdir)


def _check_words(argv: Sequence[str], env: dict[str, str]) -> None:
    if sum(len(a.encode(errors="surrogatepass")) for a in argv) > _ARGUMENTS_BYTES:
        raise InvalidError(
            f"the arguments are over {_ARGUMENTS_BYTES} bytes together: write them into a file of the sandbox"
        )
    if any("\0" in a for a in argv) or any(not is_variable(k) or "\0" in v for k, v in env.items()):
        raise InvalidError("arguments and variables hold no NUL, and a variable's name no '='")
    if sum(len(k) + len(v) for k, v in env.items()) > _ENV_BYTES:
        raise InvalidError(f"the variables are over {_ENV_BYTES} bytes together: write them into a file of the sandbox")


def _check_folder(path: str | None) -> None:
    if path is not None and (not path.startswith("/") or "\0" in path or ".." in path.split("/")):
        raise InvalidError(f"{path!r} is no absolute path without '..': give one such as '/work'")
