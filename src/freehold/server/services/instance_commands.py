"""Commands that their owner runs in an instance, beside what it runs: in its own view, with its variables and limits. They end with it."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from freehold.core.errors import ConflictError, InvalidError, NotFoundError
from freehold.core.ids import new_id
from freehold.launchers.contract import CommandPlace, Entered, SandboxCommand
from freehold.protocol.schemas import CommandRequest, CommandView
from freehold.server.sandboxes import admission, commands
from freehold.server.sandboxes.commands import Command, Spool
from freehold.server.sandboxes.opening import variables
from freehold.server.sandboxes.parts import Secrets
from freehold.server.services.instances import Instances

_KEPT_S = 60.0  # what they wrote can still be read so long after the instance's end


class Launcher(Protocol):
    async def enter(self, instance: str) -> Entered: ...


@dataclass(eq=False, kw_only=True)
class _Visited:
    """An instance that was entered."""

    workspace: str
    place: CommandPlace
    commands: dict[str, Command] = field(default_factory=dict[str, Command])


class InstanceCommands:
    """`folder` is where what they write waits to be read."""

    def __init__(self, *, instances: Instances, launcher: Launcher, secrets: Secrets, folder: Path) -> None:
        self._instances, self._launcher, self._secrets, self._folder = instances, launcher, secrets, folder
        self._visited: dict[str, _Visited] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, workspace: str, instance: str, request: CommandRequest) -> CommandView:
        """Start a command; its streams are read apart."""
        await self._instances.running(workspace, instance)
        admission.check_command(request)
        if request.tool:
            raise InvalidError(f"tool={request.tool!r} is for the files of a sandbox: run a program in an instance")
        entered = await self._launcher.enter(instance)
        visited = self._visit(workspace, instance, entered.place)
        commands.make_room(visited.commands, f"instance {instance}")
        wanted = SandboxCommand(
            argv=request.argv, env=entered.env | await variables(self._secrets, workspace, request.secrets, "exec") | request.env,
            workdir=request.workdir or entered.workdir, terminal=request.terminal,
        )  # fmt: skip
        spool = Spool(folder=self._folder / instance[-12:], silent=request.silent)
        command = await commands.start(
            entered.place, wanted, new_id("pr"), spool, request.timeout_s, attached=request.attached
        )
        visited.commands[command.id] = command
        return await command.view()

    def command(self, workspace: str, instance: str, command: str) -> Command:
        visited = self._visited.get(instance)
        if visited is None or visited.workspace != workspace:
            raise NotFoundError(f"no command runs in an instance {instance!r}, or it ended long ago")
        return commands.find(visited.commands, command, f"instance {instance}")

    async def wait_command(self, workspace: str, instance: str, command: str, timeout_s: float) -> CommandView:
        return await commands.wait(self.command(workspace, instance, command), timeout_s)

    async def signal(self, workspace: str, instance: str, command: str, number: int) -> None:
        commands.check_signal(number)
        found = self.command(workspace, instance, command)
        if found.returncode is None:
            await self._place(instance).signal(found.number, number)

    async def resize(self, workspace: str, instance: str, command: str, size: tuple[int, int]) -> None:
        found = self.command(workspace, instance, command)
        await commands.resize(self._place(instance), found, size)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for instance in list(self._visited):
            self._drop(instance)

    # ---- how

    def _visit(self, workspace: str, instance: str, place: CommandPlace) -> _Visited:
        visited = self._visited.get(instance)
        if visited is None or visited.place is not place:
            before = visited.commands if visited is not None else {}
            visited = self._visited[instance] = _Visited(workspace=workspace, place=place, commands=before)
            task = asyncio.get_running_loop().create_task(self._forget(instance, visited))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return visited

    async def _forget(self, instance: str, visited: _Visited) -> None:
        await visited.place.gone.wait()
        await asyncio.sleep(_KEPT_S)
        if self._visited.get(instance) is visited:
            self._drop(instance)

    def _drop(self, instance: str) -> None:
        for command in self._visited.pop(instance).commands.values():
            command.discard()

    def _place(self, instance: str) -> CommandPlace:
        place = self._visited[instance].place
        if place.gone.is_set():
            raise ConflictError(f"instance {instance} has ended")
        return place
