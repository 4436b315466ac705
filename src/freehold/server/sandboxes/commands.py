"""Commands that run, or ran, in a sandbox or in an instance."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from freehold.core.errors import InvalidError, NotFoundError, ResourceExhaustedError
from freehold.launchers.contract import CommandPlace, SandboxCommand
from freehold.protocol.schemas import CommandView
from freehold.server.sandboxes.streams import Input, Output

MAIN = "main"
TIMED_OUT = -1
_FAULT_BYTES = 8192
_MOST, _FINISHED = 128, 64  # of one place: running at once, and kept after their end
_LEFT_S = 5.0  # one that was started attached, and that nobody has attended for so long, is hung up on
_HANG_UP_S = 2.0  # from then on until it is killed


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
    cut_off: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    abandoned: Callable[[], None] | None = None  # of one that ends with whoever started it
    _attending: int = 0

    @contextlib.contextmanager
    def attended(self) -> Generator[None, None, None]:
        """Somebody is there: reads what it writes, or waits for its end."""
        self._attending += 1
        try:
            yield
        finally:
            self._attending -= 1
            self.look_after()

    def look_after(self) -> None:
        """See to it that somebody comes, soon."""
        if self.abandoned is not None and not self._attending and self.returncode is None:
            asyncio.get_running_loop().call_later(_LEFT_S, self._miss)

    def _miss(self) -> None:
        if self.abandoned is not None and not self._attending and self.returncode is None:
            self.abandoned()
            self.abandoned = None

    @property
    def outputs(self) -> dict[str, Output]:
        return {"stdout": self.stdout, "stderr": self.stderr}

    async def view(self) -> CommandView:
        fault = await self._fault() if self.tool and self.returncode else None
        return CommandView(
            id=self.id, returncode=self.returncode, timed_out=self.timed_out, failure=fault, cut_off=self.cut_off
        )

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
    place: CommandPlace,
    wanted: SandboxCommand,
    command_id: str,
    spool: Spool,
    timeout_s: float | None = None,
    *,
    attached: bool = False,
) -> Command:
    """Run a command; it runs when this returns. One that is `attached` ends when nobody attends it any more."""
    inner_in, ours_in = os.pipe2(os.O_CLOEXEC)
    ours_out, inner_out = _pipe("stdout", spool)
    ours_err, inner_err = _pipe("stderr", spool)
    try:
        number, exited = await place.run(wanted, (inner_in, inner_out, inner_err))
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
    timer = asyncio.get_running_loop().call_later(timeout_s, _expire, command, place) if timeout_s else None

    def over(future: "asyncio.Future[int]") -> None:
        if timer is not None:
            timer.cancel()
        command.returncode = TIMED_OUT if command.timed_out else future.result()
        command.cut_off = place.gone.is_set()
        command.stdin.close()
        command.ended.set()

    exited.add_done_callback(over)
    if attached:
        command.abandoned = lambda: _keep(_hang_up(command, place))
        command.look_after()
    return command


def check_signal(number: int) -> None:
    if not 0 < number < 65:
        raise InvalidError(f"signal {number} is none: give 1 to 64, such as 15")


def make_room(commands: dict[str, Command], where: str) -> None:
    """Refuse one too many, and forget those that ended longest ago."""
    own = [c for name, c in commands.items() if name != MAIN]
    running = sum(c.returncode is None for c in own)
    if running >= _MOST:
        raise ResourceExhaustedError(f"{running} commands run in {where} already: wait for one")
    for old in [c for c in own if c.returncode is not None][:-_FINISHED]:
        old.discard()
        del commands[old.id]


def find(commands: dict[str, Command], command: str, where: str) -> Command:
    found = commands.get(command)
    if found is None:
        raise NotFoundError(f"{where} has no command {command!r}, or it ended long ago")
    return found


async def wait(command: Command, timeout_s: float) -> CommandView:
    """The command once it has ended, or as it is after so long."""
    with contextlib.suppress(TimeoutError), command.attended():
        async with asyncio.timeout(timeout_s):
            await command.ended.wait()
    return await command.view()


async def resize(place: CommandPlace, command: Command, size: tuple[int, int]) -> None:
    await place.resize(command.number, *(max(1, min(n, 10_000)) for n in size))


def _pipe(name: str, spool: Spool) -> tuple[int, int]:
    ours, inner = os.pipe2(os.O_CLOEXEC)
    if name in spool.silent:
        os.close(inner)
        inner = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    return ours, inner


_ending: set[asyncio.Task[None]] = set()


def _keep(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.get_running_loop().create_task(work)
    _ending.add(task)
    task.add_done_callback(_ending.discard)


def _expire(command: Command, place: CommandPlace) -> None:
    command.timed_out = True
    _keep(_signal(command, place, signal.SIGKILL))


async def _hang_up(command: Command, place: CommandPlace) -> None:
    await _signal(command, place, signal.SIGHUP)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_HANG_UP_S):
            await command.ended.wait()
    await _signal(command, place, signal.SIGKILL)


async def _signal(command: Command, place: CommandPlace, number: int) -> None:
    with contextlib.suppress(Exception):  # it ended meanwhile
        await place.signal(command.number, number)
