"""What an instance sees and says: mount view, volumes, limits, output records."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from freehold.core.errors import StartError
from freehold.core.specs import FunctionSpec, Web

from .conftest import PROGRAMS
from .fake import FakeServer

Spec = Callable[..., FunctionSpec]
EVERY_LEVEL = pytest.mark.parametrize("level", ["pids", "mounts", "none"], indirect=True)


def needs(server: FakeServer, guard: str) -> None:
    if server.launcher.guards()[guard] != "ok":
        pytest.skip(server.launcher.guards()[guard])


@EVERY_LEVEL
async def test_output_becomes_records(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("talk"), PROGRAMS)
    await instance.value(call="fc-9")
    records = instance.records()
    said = [r for r in records if r[0] in ("l", "p", "r") and r != "raw line"]
    lines = [(r[0], r[2], r[5]) for r in said]
    assert lines == [
        ("l", "stdout", "one line"), ("l", "stdout", "partial joined"), ("l", "stderr", "to stderr"), ("r", "stdout", "10%"),
        ("r", "stdout", "20%"), ("l", "stdout", "done"), ("p", "stdout", "no newline"),
    ]  # fmt: skip
    assert {r[3] for r in said} == {"fc-9"}
    (event,) = [r for r in records if r[0] == "e"]
    assert event[2:] == ["warning", "fc-9", "", "structured event", "my.logger", {"step": 3}]
    raw = records.index("raw line")
    assert ["end", "fc-9"] in records[raw:]


async def test_a_volume_lies_at_its_path(server: FakeServer, spec: Spec, tmp_path: Path) -> None:
    needs(server, "bubblewrap")
    (tmp_path / "fixed").mkdir()
    (tmp_path / "open").mkdir()
    volumes = ((tmp_path / "fixed", "/data/fixed", True), (tmp_path / "open", "/root/open", False))
    instance = await server.start(spec("write"), PROGRAMS, volumes=volumes)
    assert await instance.value("/root/open/deep/file", "kept") == "kept"
    assert (tmp_path / "open/deep/file").read_text() == "kept"
    assert "Read-only" in (await instance.failure("/data/fixed/file", "no")).message
    assert await instance.value("/root/beside_the_code.txt", "mine") == "mine"
    assert not (PROGRAMS / "beside_the_code.txt").exists()
    assert await instance.value("/tmp/mine", "mine") == "mine"
    if server.launcher.guards()["image_layers"] == "ok":
        assert await instance.value("/usr/mine", "mine") == "mine"
    else:
        assert "Read-only" in (await instance.failure("/usr/mine", "no")).message
    assert not Path("/usr/mine").exists()


async def test_the_home_is_out_of_sight(server: FakeServer, spec: Spec) -> None:
    needs(server, "bubblewrap")
    instance = await server.start(spec("sees"), PROGRAMS)
    assert await instance.value(str(server.home.link_socket)) is True
    assert await instance.value(str(server.home.instances)) is False
    assert await instance.value("/root/.ssh") is False


@pytest.mark.parametrize("level", ["none"], indirect=True)
async def test_without_a_mount_view_volumes_below_root_work_and_others_say_why(
    server: FakeServer, spec: Spec, tmp_path: Path
) -> None:
    (tmp_path / "vol").mkdir()
    instance = await server.start(spec("write"), PROGRAMS, volumes=((tmp_path / "vol", "/root/vol", False),))
    assert await instance.value("vol/file", "kept") == "kept"
    assert (tmp_path / "vol/file").read_text() == "kept"
    with pytest.raises(StartError, match="bubblewrap"):
        await server.start(
            spec("write"),
            PROGRAMS,
            pool="other",
            volumes=((tmp_path / "vol", "/usr/vol/of/nothing/../x", False), (tmp_path, "/etc", False)),
        )


async def test_memory_limit_ends_with_oom(server: FakeServer, spec: Spec) -> None:
    needs(server, "cgroup_memory")
    instance = await server.start(spec("eat_memory"), PROGRAMS, memory_limit_mib=200)
    assert await instance.value(20) == 20 << 20
    instance.execute(400)
    assert (await asyncio.wait_for(instance.exit, 20)).reason == "oom"


async def test_cpu_limit_sets_threads(server: FakeServer, spec: Spec) -> None:
    instance = await server.start(spec("run"), PROGRAMS, cpu_limit=1.0)
    assert await instance.value("echo $OMP_NUM_THREADS") == (0, "1\n")
    assert (await instance.value("python -c 'import work, fastapi; print(work.__file__)'")) == (0, "/root/work.py\n")


async def test_instances_differ_in_environment_only_where_they_should(server: FakeServer, spec: Spec) -> None:
    first = await server.start(spec("run", env={"COLOUR": "blue"}), PROGRAMS)
    second = await server.start(spec("run", env={"COLOUR": "blue"}), PROGRAMS)
    assert await first.value("echo $COLOUR $FREEHOLD_INSTANCE_ID") == (0, f"blue {first.id}\n")
    assert await second.value("echo $COLOUR $FREEHOLD_INSTANCE_ID") == (0, f"blue {second.id}\n")


async def test_a_warm_start_is_fast(server: FakeServer, spec: Spec) -> None:
    await server.start(spec("echo"), PROGRAMS)
    phases = [(await server.start(spec("echo"), PROGRAMS)).phases for _ in range(5)]
    assert min(p["ready"] for p in phases) < 0.1, phases
    assert server.home.root.exists()


@pytest.mark.parametrize("level", ["pids", "mounts"], indirect=True)
async def test_a_blocked_network_has_a_loopback_of_its_own_alone(server: FakeServer, spec: Spec) -> None:
    needs(server, "bubblewrap")
    instance = await server.start(spec("run", block_network=True), PROGRAMS)
    code, said = await instance.value("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '; tail -n +2 /proc/net/route")
    assert (code, said) == (0, "lo\n")
    listens = (
        "import socket; s = socket.create_server(('127.0.0.1', 8000)); socket.create_connection(('127.0.0.1', 8000))"
    )
    assert await instance.value(f'python -c "{listens}"') == (0, "")


@pytest.mark.parametrize("level", ["none"], indirect=True)
async def test_a_network_that_cannot_be_blocked_is_refused(server: FakeServer, spec: Spec) -> None:
    with pytest.raises(StartError, match="block_network=True, and none can be blocked here: it needs bubblewrap"):
        await server.start(spec("run", block_network=True), PROGRAMS)


async def test_a_network_of_its_own_leads_outside(server: FakeServer, spec: Spec) -> None:
    needs(server, "network")
    web = Web(kind="web_server", port=8000)
    assert server.launcher.network(spec("run", web=web)) == "own"
    assert server.launcher.network(spec("run")) == "host"
