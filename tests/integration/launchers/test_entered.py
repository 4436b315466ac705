"""Commands in instances: at every level of a view, beside neighbours of the same warm parent, and gone with the instance."""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from freehold.core.errors import ConflictError
from freehold.core.specs import FunctionSpec
from freehold.launchers.contract import CommandPlace, Entered, SandboxCommand

from .conftest import PROGRAMS
from .fake import FakeInstance, FakeServer
from .test_trees import EVERY_LEVEL, until

Spec = Callable[..., FunctionSpec]


async def begin(
    server: FakeServer, instance: FakeInstance, script: str
) -> "tuple[CommandPlace, asyncio.Future[int], int]":
    """Run a script; where, its exit code to come, and the reading end of its output."""
    entered = await server.launcher.enter(instance.id)
    exited, output = await start(entered, ("sh", "-c", script))
    return entered.place, exited, output


async def start(entered: Entered, argv: Sequence[str]) -> "tuple[asyncio.Future[int], int]":
    (theirs, stdin), (output, stdout) = os.pipe(), os.pipe()
    os.close(stdin)
    command = SandboxCommand(argv=tuple(argv), env=entered.env, workdir=entered.workdir)
    try:
        _, exited = await entered.place.run(command, (theirs, stdout, stdout))
    finally:
        os.close(theirs)
        os.close(stdout)
    return exited, output


async def said(server: FakeServer, instance: FakeInstance, script: str) -> tuple[int, str]:
    _, exited, output = await begin(server, instance, script)
    with os.fdopen(output) as file:
        text = await asyncio.to_thread(file.read)
    return await exited, text


def sleeping(mark: str) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if mark in (p.info["cmdline"] or [])]


@EVERY_LEVEL
async def test_a_command_is_where_the_instance_is(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("where", env={"OF_FUNCTION": "f"}), PROGRAMS)
    ran = await instance.value()
    code, text = await said(server, instance, "echo $OF_FUNCTION $FREEHOLD_INSTANCE_ID $HOME; pwd; ls work.py; exit 3")
    assert (code, text.splitlines()) == (
        3,
        [f"f {instance.id} {ran['home']}", str(Path(ran["file"]).parent), "work.py"],
    )


@EVERY_LEVEL
async def test_its_end_is_that_of_the_instance(server: FakeServer, spec: Spec) -> None:
    mark = f"40{os.getpid()}.{os.urandom(2).hex().translate(str.maketrans('abcdef', '012345'))}"
    instance = await server.start(spec("echo"), PROGRAMS)
    neighbour = await server.start(spec("echo"), PROGRAMS)
    script = f"setsid sleep {mark} & (setsid sleep {mark} &) ; sleep {mark}"
    place, exited, output = await begin(server, instance, script)
    await until(lambda: len(sleeping(mark)) == 3, 5)
    _, others, others_output = await begin(server, neighbour, f"exec sleep {mark}")
    await until(lambda: len(sleeping(mark)) == 4, 5)
    await server.launcher.kill(instance.id)
    assert (await asyncio.wait_for(exited, 5), place.gone.is_set()) == (137, True)
    await until(lambda: len(sleeping(mark)) == 1, 5)  # the neighbour of the same parent keeps what is its own
    assert await neighbour.value(5) == (5, 1)
    with pytest.raises(ConflictError, match="has ended"):
        await server.launcher.enter(instance.id)
    await server.launcher.kill(neighbour.id)
    assert await asyncio.wait_for(others, 5) == 137
    await until(lambda: sleeping(mark) == [], 5)
    os.close(output)
    os.close(others_output)


@EVERY_LEVEL
async def test_one_that_is_wedged_and_was_never_forked(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("spin", "threaded"), PROGRAMS)
    instance.execute()
    assert await said(server, instance, "echo in") == (0, "in\n")


async def test_children_of_the_instance_are_its_own(server: FakeServer, spec: Spec) -> None:
    """Who stands beside it is no child that a program could wait for."""
    for module in ("work", "threaded"):
        instance = await server.start(spec("children", module), PROGRAMS, pool=module)
        await said(server, instance, "true")
        assert await instance.value() == "no child"


async def test_a_command_is_held_to_the_limits_of_the_instance(server: FakeServer, spec: Spec) -> None:
    if server.launcher.guards()["cgroup_memory"] != "ok":
        pytest.skip("no memory cgroups here")
    instance = await server.start(spec("echo"), PROGRAMS, memory_limit_mib=256)
    code, _ = await said(server, instance, "python -c 'x = bytearray(400 << 20)'")
    assert code == 137
    assert await instance.value(5) == (5, 1)  # it was the command that had to go


async def test_a_warden_that_was_killed_is_followed_by_another(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("echo"), PROGRAMS)
    place, exited, output = await begin(server, instance, "kill -9 $PPID; sleep 1")
    assert await asyncio.wait_for(exited, 5) == 137
    assert place.gone.is_set()
    assert await said(server, instance, "echo again") == (0, "again\n")
    os.close(output)
