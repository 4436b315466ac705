"""The sandboxes of this platform: made, found, given commands, ended. The launcher holds them; the store remembers them."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from freehold.core.digests import image_digest
from freehold.core.errors import (
    AlreadyExistsError,
    ConflictError,
    Error,
    NotFoundError,
    ResourceExhaustedError,
)
from freehold.core.ids import is_id, new_id
from freehold.core.placement import oversize
from freehold.core.states import SANDBOX, SandboxState, move
from freehold.launchers.contract import Sandbox, SandboxCommand
from freehold.protocol.schemas import CommandRequest, CommandView, SandboxRequest, SandboxView, SnapshotView, TunnelView
from freehold.server.dispatch.registry import LiveApp
from freehold.server.logs.words import LogSource
from freehold.server.sandboxes import admission, commands
from freehold.server.sandboxes.commands import MAIN, Command, Spool
from freehold.server.sandboxes.live import Live, view
from freehold.server.sandboxes.opening import Opening
from freehold.server.sandboxes.parts import SandboxParts
from freehold.server.store import writes
from freehold.server.store.reads import Reads
from freehold.server.store.rows import SandboxFilter, SandboxRow

log = logging.getLogger("freehold.sandboxes")
MOST = 500  # sandboxes at once, beside what the machine's memory allows
TERMINATED, TIMED_OUT = 137, 124
_KEPT, _KEPT_S = 64, 900.0  # ended sandboxes whose output can still be read, and for how long
_IDLE_LOOK_S = 0.5


class Sandboxes:
    """All sandboxes. Methods may be called side by side."""

    def __init__(self, parts: SandboxParts) -> None:
        self._p = parts
        self._reads = Reads(parts.store)
        self._opening = Opening(parts)
        self._live: dict[str, Live] = {}
        self._names: dict[tuple[str, str], str] = {}  # app's id and name: sandbox
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    # ---- made

    async def create(self, workspace: str, request: SandboxRequest) -> SandboxView:
        """Start a sandbox; it runs when this returns."""
        app = self._p.registry.app(workspace, request.app)
        spec = request.spec
        admission.check(spec)
        self._refuse_crowd()
        now = self._p.clock.now()
        row = SandboxRow(
            new_id("sb"), workspace, app.id, app.name, spec.name, SandboxState.STARTING, now, timeout_s=spec.timeout_s, tags=dict(spec.tags),
            image=image_digest(spec.image),
        )  # fmt: skip
        live = Live(row=row, spec=spec, used=self._p.clock.monotonic())
        self._take_name(app, live)
        self._live[live.id] = live
        live.starting = asyncio.get_running_loop().create_task(self._start(live))
        try:
            await live.starting
        except BaseException as error:
            await asyncio.shield(self._give_up(live, error))
            raise
        less = oversize(spec.resources, self._p.places.machine)
        return replace(view(live.row), warnings=(f"Sandbox.create: {less}",) if less else ())

    async def _give_up(self, live: Live, error: BaseException) -> None:
        """It could not start, or was ended before it ran: then ConflictError says why."""
        ended = live.ending is not None
        failed = live.row.state is SandboxState.STARTING
        end = (SandboxState.FAILED, None) if failed else (SandboxState.TERMINATED, TERMINATED)
        self._end_soon(live, *end, str(error) or type(error).__name__)
        await live.ended.wait()
        if ended and isinstance(error, asyncio.CancelledError):
            raise ConflictError(f"sandbox {live.id} was ended while it started: {live.row.reason}") from None

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
        await self._p.store.write(writes.put_sandboxes([live.row]))
        held = await self._opening.open(live)
        self._watch(live, held)
        if live.spec.command:
            await self._run_main(live, held)
        self._move(live, SandboxState.RUNNING)
        await self._p.store.write(writes.put_sandboxes([live.row]))

    async def _run_main(self, live: Live, held: Sandbox) -> None:
        source = LogSource(
            app=live.row.app, app_id=live.row.app_id, function="sandbox", type="training", service="sandbox",
            workspace=live.row.workspace,
        )  # fmt: skip
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
        admission.check_command(request)
        commands.make_room(live.commands, f"sandbox {live.id}")
        wanted = SandboxCommand(
            argv=request.argv, env=live.env | await self._opening.secrets(workspace, request.secrets) | request.env,
            workdir=request.workdir or live.workdir, make_workdir=request.workdir is None, terminal=request.terminal, tool=request.tool,
            arguments=request.arguments,
        )  # fmt: skip
        live.used = self._p.clock.monotonic()
        command = await commands.start(
            live.held,
            wanted,
            new_id("pr"),
            Spool(folder=self._spools(live), silent=request.silent),
            request.timeout_s,
            attached=request.attached,
        )
        live.commands[command.id] = command
        return await command.view()

    def command(self, workspace: str, sandbox: str, command: str) -> Command:
        live = self._live.get(sandbox)
        if live is None or live.row.workspace != workspace:
            raise NotFoundError(f"sandbox {sandbox!r} has ended, or there is none; what it wrote is in its app's logs")
        if command == MAIN and command not in live.commands:
            raise NotFoundError(f"sandbox {sandbox} has no command of its own: it was made without one")
        found = commands.find(live.commands, command, f"sandbox {sandbox}")
        live.used = self._p.clock.monotonic()
        return found

    async def wait_command(self, workspace: str, sandbox: str, command: str, timeout_s: float) -> CommandView:
        return await commands.wait(self.command(workspace, sandbox, command), timeout_s)

    async def signal(self, workspace: str, sandbox: str, command: str, number: int) -> None:
        commands.check_signal(number)
        live, found = self._running(workspace, sandbox, "take a signal"), self.command(workspace, sandbox, command)
        if live.held is not None and found.returncode is None:
            await live.held.signal(found.number, number)

    async def resize(self, workspace: str, sandbox: str, command: str, size: tuple[int, int]) -> None:
        live, found = self._running(workspace, sandbox, "be resized"), self.command(workspace, sandbox, command)
        if live.held is not None:
            await commands.resize(live.held, found, size)

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

    def _end_soon(self, live: Live, state: SandboxState, code: int | None, reason: str | None) -> None:
        """The first end counts."""
        if live.ending is None and not live.row.state.final:
            live.ending = self._keep(self._finish(live, state, code, reason))

    async def _finish(self, live: Live, state: SandboxState, code: int | None, reason: str | None) -> None:
        for timer in live.timers:
            timer.cancel()
        if live.starting is not None and live.row.state is SandboxState.STARTING:
            live.starting.cancel()  # or it would run when nobody knows of it any more
            await asyncio.wait({live.starting})
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
        with contextlib.suppress(OSError):  # it had no commands, or still has one that starts
            self._spools(live).rmdir()

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
