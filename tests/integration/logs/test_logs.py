"""The collector on real files: kills, disk full, followers, and what it leaves behind."""

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from freehold.protocol.schemas import LogLine
from freehold.server.logs import LogQuery, Logs, LogSource

PROGRAM = Path(__file__).with_name("collector_program.py")
SOURCE = LogSource(app="shop", app_id="ap-1", function="price", type="training")
BEGIN = 1_763_712_000.0


def printed(message: str, at: float = BEGIN, call: str = "fc-1") -> bytes:
    return b"\x1e" + json.dumps(["l", at, "stdout", call, "", message]).encode() + b"\n"


class Output:
    """Writes as an instance would: one write a line, appended."""

    def __init__(self, root: Path, instance: str) -> None:
        self.path = root / "instances" / instance / "output"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, data: bytes) -> None:
        os.write(self._fd, data)

    def close(self) -> None:
        os.close(self._fd)


@pytest.fixture
async def logs(tmp_path: Path) -> AsyncIterator[Logs]:
    logs = Logs(tmp_path / "logs", tmp_path / "instances", max_bytes=20_000, keep=100)
    logs.start()
    yield logs
    await logs.close()


def messages(logs: Logs, **which: Any) -> list[str]:
    return [x.message for x in logs.query(LogQuery(**which))]


async def test_what_is_written_is_there_once_drained(logs: Logs, tmp_path: Path) -> None:
    output = Output(tmp_path, "in-1")
    logs.add("in-1", SOURCE)
    for i in range(500):
        output.write(printed(f"line {i}"))
    output.write(b"half a line")
    await logs.drained("ap-1")
    assert messages(logs, app="shop") == [f"line {i}" for i in range(500)]
    logs.ended("in-1")
    await logs.drained("ap-1")
    assert messages(logs, app="shop", tail=1) == ["half a line"]
    assert not output.path.exists()
    output.close()


async def test_lines_of_an_instance_that_the_collector_had_not_met_when_it_was_killed(tmp_path: Path) -> None:
    killed = Logs(tmp_path / "logs", tmp_path / "instances")  # its thread never comes to it
    killed.add("in-1", SOURCE)
    output = Output(tmp_path, "in-1")
    output.write(printed("early"))
    output.close()
    later = Logs(tmp_path / "logs", tmp_path / "instances")
    later.start()
    await later.drained()
    assert messages(later, app="shop") == ["early"]
    await later.close()


async def test_raw_lines_belong_to_the_call_that_runs(tmp_path: Path) -> None:
    running = {"in-1": "fc-7"}
    logs = Logs(tmp_path / "logs", tmp_path / "instances", running=lambda instance: running.get(instance, ""))
    logs.start()
    output = Output(tmp_path, "in-1")
    logs.add("in-1", SOURCE)
    output.write(b"from C\n")
    await logs.drained()
    running.clear()
    output.write(b"from nobody\n")
    await logs.drained()
    assert [(x.message, x.call) for x in logs.query(LogQuery())] == [("from C", "fc-7"), ("from nobody", "")]
    output.close()
    await logs.close()


async def test_an_instance_whose_file_comes_later_and_one_without(logs: Logs, tmp_path: Path) -> None:
    logs.add("in-1", SOURCE)
    logs.add("in-2", SOURCE)
    await logs.drained()
    output = Output(tmp_path, "in-1")
    output.write(printed("late"))
    logs.ended("in-2")
    await logs.drained()
    assert messages(logs) == ["late"]
    output.close()


async def test_disk_space_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freehold.server.logs.tails.PUNCH_BYTES", 100_000)
    logs = Logs(tmp_path / "logs", tmp_path / "instances")
    logs.start()
    output = Output(tmp_path, "in-1")
    output.write(b"".join(printed(f"line {i}") for i in range(40_000)))
    logs.add("in-1", SOURCE)
    await logs.drained()
    stat = output.path.stat()
    assert stat.st_blocks * 512 < stat.st_size / 2
    output.write(printed("more"))
    await logs.drained()
    assert len(messages(logs)) == 40_001
    await logs.close()
    output.close()


async def test_a_log_that_cannot_be_written_waits_and_loses_nothing(logs: Logs, tmp_path: Path) -> None:
    output = Output(tmp_path, "in-1")
    (tmp_path / "logs").mkdir(exist_ok=True)
    (tmp_path / "logs" / "training").write_text("a file in the way")
    logs.add("in-1", SOURCE)
    other = Output(tmp_path, "in-2")
    logs.add("in-2", LogSource(app="web", app_id="ap-2", function="f", type="inference"))
    output.write(printed("kept"))
    other.write(printed("fine"))
    await logs.drained()
    assert messages(logs, types=("inference",)) == ["fine"]
    (tmp_path / "logs" / "training").unlink()
    await logs.drained()
    assert messages(logs, app="shop") == ["kept"]
    output.close()
    other.close()


async def test_followers_miss_nothing_and_see_nothing_twice(logs: Logs, tmp_path: Path) -> None:
    output = Output(tmp_path, "in-1")
    logs.add("in-1", SOURCE)
    total, early = 3000, 700
    for i in range(early):
        output.write(printed(f"{i}"))
    await logs.drained()

    def write_the_rest() -> None:
        for i in range(early, total):
            output.write(printed(f"{i}"))
            if i % 50 == 0:
                time.sleep(0.01)

    async def follow(which: LogQuery, until: str) -> list[int]:
        got: list[int] = []
        async for line in logs.follow(which):
            got.append(int(line.message))
            if line.message == until:
                break
        return got

    writer = threading.Thread(target=write_the_rest)
    writer.start()
    last = str(total - 1)
    whole, tail, searched, now = await asyncio.wait_for(
        asyncio.gather(
            follow(LogQuery(app="shop", since=BEGIN - 5), last),
            follow(LogQuery(app="shop", tail=10), last),
            follow(LogQuery(search="7", since=0), "2997"),
            follow(LogQuery(app="shop"), last),
        ),
        timeout=20,
    )
    writer.join()
    output.close()
    assert whole == list(range(total))
    assert tail[0] >= early - 10
    assert tail == list(range(tail[0], total))
    assert searched == [i for i in range(2998) if "7" in str(i)]
    assert now == list(range(now[0], total))


async def test_a_follower_of_an_app_that_has_not_begun(logs: Logs, tmp_path: Path) -> None:
    async def first() -> LogLine:
        async for line in logs.follow(LogQuery(app="shop", tail=5)):
            return line
        raise AssertionError

    waiting = asyncio.create_task(first())
    await asyncio.sleep(0.05)
    output = Output(tmp_path, "in-1")
    logs.add("in-1", SOURCE)
    output.write(printed("at last"))
    assert (await asyncio.wait_for(waiting, 5)).message == "at last"
    output.close()


async def test_what_an_earlier_server_left_is_collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freehold.server.logs.collector._ORPHAN_QUIET_S", 0.1)
    output = Output(tmp_path, "in-1")
    first = Logs(tmp_path / "logs", tmp_path / "instances")
    first.start()
    first.add("in-1", SOURCE)
    output.write(printed("before"))
    await first.drained()
    await first.close()
    output.write(printed("after") + b"last words")
    output.close()
    second = Logs(tmp_path / "logs", tmp_path / "instances")
    second.start()
    for _ in range(100):
        await second.drained()
        if not output.path.exists():
            break
        await asyncio.sleep(0.05)
    assert messages(second) == ["before", "after", "last words"]
    assert list((tmp_path / "instances/in-1").iterdir()) == []
    await second.close()


# ---- R20: every line written before a kill is there, once, in order


def _write_lines(root: Path, instance: str, count: int, seed: int) -> None:
    rng, output = random.Random(seed), Output(root, instance)
    i = 0
    while i < count:
        some = min(count - i, rng.randrange(1, 400))
        lines = [printed(f"{i + k} " + "x" * rng.choice([5, 50, 200]), call=f"fc-{(i + k) // 10}") for k in range(some)]
        lines = [b"%d raw\n" % (i + k) if rng.random() < 0.05 else line for k, line in enumerate(lines)]
        output.write(b"".join(lines))
        i += some
        if rng.random() < 0.2:
            time.sleep(0.001)
    output.close()


def _collect_until(root: Path, instances: list[str], seconds: float | None) -> None:
    command = [sys.executable, str(PROGRAM), str(root), *instances]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        if seconds is None:
            child.communicate(b"drain\n", timeout=60)
            assert child.returncode == 0
        else:
            time.sleep(seconds)
            child.kill()


@pytest.mark.slow
async def test_a_collector_killed_again_and_again_loses_and_doubles_no_line(tmp_path: Path) -> None:
    rng, count = random.Random(20), 200_000
    instances = [f"in-{n}" for n in range(4)]
    writers = [
        threading.Thread(target=_write_lines, args=(tmp_path, name, count // 4, n)) for n, name in enumerate(instances)
    ]
    for writer in writers:
        writer.start()
    for _ in range(10):
        await asyncio.to_thread(_collect_until, tmp_path, instances, rng.uniform(0.02, 0.4))
    for writer in writers:
        writer.join()
    await asyncio.to_thread(_collect_until, tmp_path, instances, None)
    logs = Logs(tmp_path / "logs", tmp_path / "instances")
    seen: dict[str, list[int]] = {name: [] for name in instances}
    seqs: dict[str, list[int]] = {name: [] for name in instances}
    for path in sorted(
        (tmp_path / "logs/training").iterdir(), key=lambda p: -int(p.suffix[1:] or 0) if p.suffix != ".jsonl" else 0
    ):
        for line in path.read_bytes().splitlines():
            fields = json.loads(line)
            seen[fields["instance"]].append(int(fields["message"].split()[0]))
            seqs[fields["instance"]].append(fields["seq"])
    assert all(seen[name] == list(range(count // 4)) for name in instances)
    assert all(s == sorted(set(s)) for s in seqs.values())
    assert len(list(logs.query(LogQuery(tail=10)))) == 10
    assert not list((tmp_path / "instances").glob("*/output"))


async def test_collecting_is_fast_enough(tmp_path: Path) -> None:
    output = Output(tmp_path, "in-1")
    block = b"".join(printed(f"training step {i} loss 0.123") for i in range(50_000))
    for _ in range(4):
        output.write(block)
    output.close()
    logs = Logs(tmp_path / "logs", tmp_path / "instances")
    logs.start()
    logs.add("in-1", SOURCE)
    begun = time.process_time()
    await logs.drained()
    spent = time.process_time() - begun
    await logs.close()
    assert spent < 200_000 / 50_000, f"{200_000 / spent:.0f} lines a second"  # 300,000 on an idle core


async def test_a_note_stands_among_what_the_instance_wrote(logs: Logs, tmp_path: Path) -> None:
    logs.note("in-1", "before anything of it ran")
    output = Output(tmp_path, "in-1")
    logs.add("in-1", SOURCE)
    output.write(printed("loads") + b"half a line")
    logs.note("in-1", "it could not start")
    output.write(printed("goes on"))
    logs.ended("in-1")
    await logs.drained("ap-1")
    assert messages(logs, app="shop") == ["loads", "half a line", "it could not start", "goes on"]
    [line] = [x for x in logs.query(LogQuery(app="shop")) if x.message == "it could not start"]
    assert (line.level, line.function) == ("warning", "price")
    output.close()


async def test_apps_of_one_name_in_two_environments_have_a_log_each(logs: Logs, tmp_path: Path) -> None:
    theirs = replace(SOURCE, app_id="ap-9", workspace="main.dev")
    for name, source in (("in-1", SOURCE), ("in-2", theirs)):
        output = Output(tmp_path, name)
        logs.add(name, source)
        output.write(printed(f"of {source.workspace}"))
        output.close()
    await logs.drained()
    for workspace in ("main", "main.dev"):
        assert messages(logs, app="shop", workspace=workspace) == [f"of {workspace}"]
        assert messages(logs, workspace=workspace) == [f"of {workspace}"]
    assert messages(logs, app_id="ap-9", workspace="main") == ["of main.dev"]
    assert messages(logs, instance="in-2", workspace="main") == ["of main.dev"]
    assert len(messages(logs)) == 2
