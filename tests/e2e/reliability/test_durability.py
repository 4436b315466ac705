"""R1: the server is killed at any moment, and nothing that was acknowledged is lost, doubled or changed."""

import json
import random
import signal
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest
from tests.e2e.harness import PROGRAMS
from tests.e2e.reliability.chaos import (
    Server,
    ask,
    can_trace,
    count,
    killed_at,
    lines,
    results,
    unfinished,
    until,
)
from tests.e2e.reliability.conftest import MakeServer, Sized

pytestmark = pytest.mark.slow
SERVING_WITHIN_S = 5.0
# Where the server is killed. The last three want strace: at a sync of the database, between a commit and its answer (the mark
# is written between them), and while the write-ahead log is brought home as the server stops.
MOMENTS = ("admitting", "finishing", "admitting", "finishing", "starting", "sync", "answer", "checkpoint")


class Storm:
    """Kills of one server, at seeded moments."""

    def __init__(self, server: Server, folder: Path, seed: int) -> None:
        self.server, self.starts_s = server, defaultdict[str, list[float]](list)
        self._folder, self._dice = folder, random.Random(seed)

    def strike(self, moment: str) -> None:
        """Kill the running server at this moment, and start it again."""
        if moment in ("admitting", "finishing"):
            self._after_progress("acknowledged" if moment == "admitting" else "seen")
        elif moment == "starting":
            self._while_starting()
        elif moment == "sync":
            self._traced("fdatasync", self._dice.randrange(1, 25))
        elif moment == "answer":
            self._traced("pwrite64", self._dice.randrange(2, 25), "freehold.db.mark")
        else:
            self._while_stopping()
        self.starts_s[moment].append(self.server.up())

    def _after_progress(self, kind: str) -> None:
        had, more = len(lines(self._folder / kind)), self._dice.randrange(1, 40)
        until(lambda: len(lines(self._folder / kind)) >= had + more, 60, f"{more} more {kind}")
        self.server.kill()

    def _while_starting(self) -> None:
        self.server.kill()
        process = self.server.begin()
        try:
            process.wait(self._dice.uniform(0.1, 1.2))
        except subprocess.TimeoutExpired:
            self.server.kill()

    def _traced(self, syscall: str, nth: int, file: str = "") -> None:
        self.server.kill()
        path = self.server.home.home / file if file else None
        process = self.server.begin(*killed_at(syscall, nth, path))
        assert process.wait(60) == -signal.SIGKILL, "it was not killed there"

    def _while_stopping(self) -> None:
        self.server.kill()
        home = self.server.home.home
        process = self.server.begin(*killed_at("pwrite64", self._dice.randrange(1, 6), home / "freehold.db"))
        until(self.server.serves, 60, "the server")
        self.server.end()
        assert process.returncode == -signal.SIGKILL, "it was not killed there"


def test_r1_no_acknowledged_call_is_lost_and_no_result_recorded_twice(
    make_server: MakeServer, tmp_path: Path, sized: Sized
) -> None:
    calls, kills = sized(2_000, 10_000), sized(50, 200)
    server = make_server()
    server.up()
    server.home.ok("deploy", "durable.py")
    storm = Storm(server, tmp_path, seed=20261121)
    moments = MOMENTS if can_trace() else MOMENTS[:5]
    client = subprocess.Popen(
        [sys.executable, str(PROGRAMS / "durable.py"), str(calls), str(tmp_path), "0.08"],
        env=server.home.env, cwd=PROGRAMS, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        for turn in range(kills):
            storm.strike(moments[turn % len(moments)])
        _, complaints = client.communicate(timeout=600)
    finally:
        client.kill()
    assert client.returncode == 0, complaints
    known = dict(json.loads(line) for line in lines(tmp_path / "acknowledged"))
    assert len(known) >= calls
    until(lambda: unfinished(server.home) == 0, 60, "the end of all calls")
    assert count(server.home, "calls where state = 'succeeded'") == len(known), "a call is lost, or recorded twice"
    assert count(server.home, "calls") == len(known)
    seen = {call: (n, token) for call, n, token in map(json.loads, lines(tmp_path / "seen"))}
    last = {call: tuple(result) for call, result in results(server.home, known).items()}
    assert seen == last, "a result changed after somebody had read it"
    assert {call: n for call, (n, _) in last.items()} == known
    assert "locked" not in server.said() + complaints
    # the median of each kind: other work on the machine is not the server's doing
    assert {moment: s for moment, s in storm.starts_s.items() if median(s) > SERVING_WITHIN_S} == {}
    server.end()
    assert ask(server.home, "pragma integrity_check") == [("ok",)]
    print(f"R1: {len(known)} calls, {kills} kills, slowest start {max(map(max, storm.starts_s.values())):.1f} s")


def fresh(path: Path) -> None:
    """Leave no database."""
    del path


def older(path: Path) -> None:
    """Leave a database of a release without a schema, so that the next start migrates it."""
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    db.close()


@pytest.mark.parametrize("prepare", [fresh, older])
def test_r1_a_first_start_killed_at_any_sync_is_made_good_by_the_next(
    make_server: MakeServer, sized: Sized, prepare: Callable[[Path], None]
) -> None:
    if not can_trace():
        pytest.skip("no strace that may trace here")
    server = make_server()
    prepare(server.home.home / "freehold.db")
    for nth in range(1, sized(4, 12)):
        process = server.begin(*killed_at("fdatasync,fsync", nth))
        until(lambda process=process: process.poll() is not None or server.serves(), 60, "its end or its start")
        server.end()
    server.up()
    assert server.home.json("app", "list") == []
    server.end()
    assert ask(server.home, "pragma integrity_check") == [("ok",)]
