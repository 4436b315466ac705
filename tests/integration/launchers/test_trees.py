"""Whole process trees end: at a kill, a timeout, a crash of the instance, of its parent and of the server."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from freehold.core.home import Home
from freehold.core.specs import FunctionSpec
from freehold.protocol.frames import Status

from .conftest import PROGRAMS
from .fake import FakeServer

Spec = Callable[..., FunctionSpec]
EVERY_LEVEL = pytest.mark.parametrize("level", ["pids", "mounts", "none"], indirect=True)
CHILD = "601.25"


def haunting(daemon: str) -> list[psutil.Process]:
    """What `work.haunt` leaves: a sleep, and a daemon whose command line names its pid file."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter(["cmdline"]):
        words: list[str] = process.info["cmdline"] or []
        if CHILD in words or daemon in words:
            found.append(process)
    return found


async def until(condition: Callable[[], bool], limit_s: float) -> float:
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < limit_s, "still not so"
        await asyncio.sleep(0.01)
    return time.monotonic() - begun


@EVERY_LEVEL
async def test_kill_ends_children_and_daemons(server: FakeServer, spec: Spec, tmp_path: Path) -> None:
    name = f"/tmp/{tmp_path.name}-{os.urandom(4).hex()}"
    haunted = await server.start(spec("haunt"), PROGRAMS)
    neighbour = await server.start(spec("haunt"), PROGRAMS)
    haunted.execute(name)
    neighbour.execute(name + "-2")
    await until(lambda: len(haunting(name)) == 3 and len(haunting(name + "-2")) == 3, 5)
    await server.launcher.kill(haunted.id)
    assert [p for p in haunting(name) if name in p.cmdline()] == []
    await until(lambda: len(haunting(name + "-2")) == 2, 2)  # the neighbour of the same parent keeps what is its own
    assert (await haunted.exit).signal == signal.SIGKILL
    await server.launcher.kill(neighbour.id)
    assert haunting(name + "-2") == []


@EVERY_LEVEL
async def test_timeout_then_kill_leaves_nothing(server: FakeServer, spec: Spec, tmp_path: Path) -> None:
    name = f"/tmp/{tmp_path.name}-{os.urandom(4).hex()}"
    instance = await server.start(spec("haunt"), PROGRAMS)
    result = await instance.call(name, timeout_s=0.5)
    assert result.status == Status.TIMEOUT
    await server.launcher.kill(instance.id)
    assert haunting(name) == []


async def test_a_crash_is_seen_within_milliseconds_and_swept(server: FakeServer, spec: Spec, tmp_path: Path) -> None:
    name = f"/tmp/{tmp_path.name}-{os.urandom(4).hex()}"
    instance = await server.start(spec("haunt"), PROGRAMS)
    instance.execute(name)
    await until(lambda: len(haunting(name)) == 2, 5)
    begun = time.monotonic()
    os.kill(instance.pid, signal.SIGKILL)
    exit_ = await asyncio.wait_for(instance.exit, 2)
    assert time.monotonic() - begun < 0.2
    assert exit_.signal == signal.SIGKILL
    await until(lambda: not haunting(name), 2)


async def test_stop_kills_what_ignores_sigterm(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("sleep"), PROGRAMS)
    instance.execute(60)
    await asyncio.sleep(0.1)
    begun = time.monotonic()
    await server.launcher.stop(instance.id, grace_s=0.3)
    assert time.monotonic() - begun < 1.5
    assert not psutil.pid_exists(instance.pid)


@EVERY_LEVEL
async def test_death_of_the_parent_ends_its_instances(server: FakeServer, spec: Spec) -> None:
    first, second = [await server.start(spec("sleep"), PROGRAMS) for _ in range(2)]
    parent = psutil.Process(first.pid).ppid()
    os.kill(parent, signal.SIGKILL)
    for instance in (first, second):
        assert "parent died" in (await asyncio.wait_for(instance.exit, 2)).reason
    await until(lambda: not any(psutil.pid_exists(i.pid) for i in (first, second)), 2)
    assert await (await server.start(spec("sleep"), PROGRAMS)).value(0) > 0, "a new parent is made"


async def test_retire_ends_the_parent_when_its_last_instance_has_left(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("sleep"), PROGRAMS, pool="pool")
    parent = psutil.Process(instance.pid).ppid()
    await server.launcher.retire("pool")
    await asyncio.sleep(0.1)
    assert await instance.value(0) > 0
    instance.drain()
    assert (await asyncio.wait_for(instance.exit, 5)).code == 0
    await until(lambda: not psutil.pid_exists(parent), 2)


@EVERY_LEVEL
async def test_close_leaves_nothing(server: FakeServer, spec: Spec, tmp_path: Path) -> None:
    name = f"/tmp/{tmp_path.name}-{os.urandom(4).hex()}"
    instance = await server.start(spec("haunt"), PROGRAMS)
    instance.execute(name)
    await until(lambda: len(haunting(name)) == 2, 5)
    await server.launcher.close()
    assert haunting(name) == []
    assert [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE] == []


SERVER_PROGRAM = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from integration.launchers import fake
from integration.launchers.conftest import PROGRAMS, plain_image
from freehold.core.home import Home
from freehold.core.specs import FunctionSpec

async def main():
    async with fake.serve(Home(Path(sys.argv[1])), plain_image, level=sys.argv[2]) as server:
        instance = await server.start(FunctionSpec(name="haunt", module="work", qualname="haunt"), PROGRAMS)
        instance.execute(sys.argv[3])
        print("started", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.parametrize("level", ["pids", "mounts", "none"])
async def test_death_of_the_server_ends_everything(home: Home, level: str, tmp_path: Path) -> None:
    name = f"/tmp/{tmp_path.name}-{os.urandom(4).hex()}"
    program = SERVER_PROGRAM.format(tests=str(Path(__file__).parents[2]))
    server = subprocess.Popen([sys.executable, "-c", program, str(home.root), level, name], stdout=subprocess.PIPE)
    assert server.stdout is not None
    with contextlib.closing(server.stdout):
        assert await asyncio.to_thread(server.stdout.readline) == b"started\n"
        await until(lambda: len(haunting(name)) >= 3, 5)  # the server's own command line names it too
        below = psutil.Process(server.pid).children(recursive=True)
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        took = await until(lambda: not haunting(name) and not any(p.is_running() for p in below), 10)
    assert took < 5
