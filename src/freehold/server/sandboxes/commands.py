"""Commands that run, or ran, in a sandbox."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from freehold.launchers.contract import Sandbox, SandboxCommand
from freehold.protocol.schemas import CommandView
from freehold.server.sandboxes.streams import Input, Output

TIMED_OUT = -1
_FAULT_BYTES = 8192


@dataclass(eq=False, kw_only=True)
class Command:
    """One command, its streams, and how it ended."""

    id: str
    number: int
    stdin: Input
    stdout: Output
    stderr: Output
    exited: "asyncio.Future[int]"
    tool: bool = False
    timed_out: bool = False
    returncode: int | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def outputs(self) -> dict[str, Output]:
        return {"stdout": self.stdout, "stderr": self.stderr}

    async def view(self) -> CommandView:
        fault = await self._fault() if self.tool and self.returncode else None
        return CommandView(id=self.id, returncode=self.returncode, timed_out=self.timed_out, failure=fault)

    async def _fault(self) -> dict[str, str]:
        """What a tool said of its failure: it comes from inside, so it is believed no further than as a name and a text."""
        await self.stderr.ended()
        data, _ = await self.stderr.read(0)
        with contextlib.suppress(ValueError):
            said = json.loads(data[:_FAULT_BYTES])
            if isinstance(said, dict):
                told = cast("dict[str, object]", said)
                return {"error": str(told.get("error"))[:40], "message": str(told.get("message"))[:1000]}
        return {"error": "EIO", "message": data[:1000].decode(errors="replace")}

    def discard(self) -> None:
        self.stdin.close()
        self.stdout.discard()
        self.stderr.discard()


@dataclass(frozen=True, kw_only=True)
class Spool:
    """Where the streams of a command are kept."""

    folder: Path
    silent: tuple[str, ...] = ()  # streams of which nothing is kept
    newest: bool = False  # keep the newest and hold nothing up
    tee: Callable[[bytes], None] | None = None


async def start(
    sandbox: Sandbox, wanted: SandboxCommand, command_id: str, spool: Spool, timeout_s: float | None = None
) -> Command:
    """Run a command; it runs when this returns."""
    inner_in, ours_in = os.pipe2(os.O_CLOEXEC)
    ours_out, inner_out = _pipe("stdout", spool)
    ours_err, inner_err = _pipe("stderr", spool)
    try:
        number, exited = await sandbox.run(wanted, (inner_in, inner_out, inner_err))
    except BaseException:
        for fd in (ours_in, ours_out, ours_err):
            os.close(fd)
        raise
    finally:
        for fd in (inner_in, inner_out, inner_err):
            os.close(fd)
    command = Command(
        id=command_id, number=number, exited=exited, tool=bool(wanted.tool), stdin=Input(ours_in),
        stdout=Output(ours_out, spool.folder, newest=spool.newest, tee=spool.tee),
        stderr=Output(ours_err, spool.folder, newest=spool.newest, tee=spool.tee),
    )  # fmt: skip
    timer = asyncio.get_running_loop().call_later(timeout_s, _expire, command, sandbox) if timeout_s else None

    def over(future: "asyncio.Future[int]") -> None:
        if timer is not None:
            timer.cancel()
        command.returncode = TIMED_OUT if command.timed_out else future.result()
        command.stdin.close()
        command.ended.set()

    exited.add_done_callback(over)
    return command


def _pipe(name: str, spool: Spool) -> tuple[int, int]:
    ours, inner = os.pipe2(os.O_CLOEXEC)
    if name in spool.silent:
        os.close(inner)
        inner = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    return ours, inner


_killing: set[asyncio.Task[None]] = set()


def _expire(command: Command, sandbox: Sandbox) -> None:
    command.timed_out = True
    task = asyncio.get_running_loop().create_task(_kill(command, sandbox))
    _killing.add(task)
    task.add_done_callback(_killing.discard)


async def _kill(command: Command, sandbox: Sandbox) -> None:
    with contextlib.suppress(Exception):  # it ended meanwhile
        await sandbox.signal(command.number, signal.SIGKILL)
