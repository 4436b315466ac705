"""Commands in instances: which are refused, and what becomes of one that nobody attends."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from freehold.core.errors import ConflictError, InvalidError, NotFoundError
from freehold.launchers.contract import Entered, SandboxCommand
from freehold.protocol.schemas import CommandRequest
from freehold.server.sandboxes import commands
from freehold.server.services.instance_commands import InstanceCommands


class _Place:
    """An instance in which commands run until they are signalled."""

    def __init__(self) -> None:
        self.gone, self.fault = asyncio.Event(), ""
        self.ran: list[SandboxCommand] = []
        self.signals: list[tuple[int, int]] = []
        self.exits: list[asyncio.Future[int]] = []

    async def run(self, command: SandboxCommand, fds: Sequence[int]) -> "tuple[int, asyncio.Future[int]]":
        self.ran.append(command)
        self.exits.append(asyncio.get_running_loop().create_future())
        return len(self.exits) - 1, self.exits[-1]

    async def signal(self, number: int, signum: int) -> None:
        self.signals.append((number, signum))
        if signum == 9:
            self.exits[number].set_result(137)

    async def resize(self, number: int, rows: int, columns: int) -> None: ...


class _Here:
    """The instances, their launcher and the secrets."""

    def __init__(self) -> None:
        self.place = _Place()

    async def running(self, workspace: str, instance: str) -> None:
        if instance == "in-over":
            raise ConflictError("it has ended")

    async def enter(self, instance: str) -> Entered:
        return Entered(place=self.place, env={"A": "1", "B": "1"}, workdir="/root")


def _made(here: Any, folder: Path) -> InstanceCommands:
    return InstanceCommands(instances=here, launcher=here, secrets=here, folder=folder)


async def test_a_command_starts_from_what_the_instance_has(tmp_path: Path) -> None:
    here = _Here()
    made = _made(here, tmp_path)
    view = await made.run("main", "in-1", CommandRequest(argv=("ls",), env={"B": "2"}))
    [command] = here.place.ran
    assert (command.argv, command.env, command.workdir) == (("ls",), {"A": "1", "B": "2"}, "/root")
    here.place.exits[0].set_result(3)
    assert (await made.wait_command("main", "in-1", view.id, 5)).returncode == 3
    with pytest.raises(NotFoundError):
        made.command("other", "in-1", view.id)
    await made.close()


async def test_what_can_be_no_command_is_refused(tmp_path: Path) -> None:
    made = _made(_Here(), tmp_path)
    for request, words in (
        (CommandRequest(), "needs at least its program"),
        (CommandRequest(tool="read"), "is for the files of a sandbox"),
        (CommandRequest(argv=("ls",), workdir="here"), "no absolute path"),
    ):
        with pytest.raises(InvalidError, match=words):
            await made.run("main", "in-1", request)
    with pytest.raises(ConflictError):
        await made.run("main", "in-over", CommandRequest(argv=("ls",)))
    with pytest.raises(NotFoundError):
        made.command("main", "in-1", "pr-1")


async def test_an_ended_instance_takes_no_signal(tmp_path: Path) -> None:
    here = _Here()
    made = _made(here, tmp_path)
    view = await made.run("main", "in-1", CommandRequest(argv=("ls",)))
    with pytest.raises(InvalidError, match="signal 65"):
        await made.signal("main", "in-1", view.id, 65)
    here.place.gone.set()
    with pytest.raises(ConflictError, match="has ended"):
        await made.signal("main", "in-1", view.id, 15)
    await made.close()


@pytest.mark.parametrize("attached", [True, False])
async def test_one_that_is_attached_ends_when_nobody_attends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attached: bool
) -> None:
    monkeypatch.setattr(commands, "_LEFT_S", 0.02)
    monkeypatch.setattr(commands, "_HANG_UP_S", 0.02)
    here = _Here()
    made = _made(here, tmp_path)
    view = await made.run("main", "in-1", CommandRequest(argv=("sh",), attached=attached))
    reading = asyncio.create_task(made.wait_command("main", "in-1", view.id, 0.1))
    await asyncio.sleep(0.08)
    assert here.place.signals == []  # somebody waits for it
    assert (await reading).returncode is None
    ended = made.command("main", "in-1", view.id).ended
    if attached:
        await asyncio.wait_for(ended.wait(), 5)
        assert here.place.signals == [(0, 1), (0, 9)]
    else:
        await asyncio.sleep(0.1)
        assert (here.place.signals, ended.is_set()) == ([], False)
        here.place.exits[0].set_result(0)
    await made.close()
    assert os.listdir(tmp_path / "in-1") == []  # noqa: PTH208
