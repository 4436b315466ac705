"""What docs/concepts/guarantees.md promises, held against a real server that is killed, stopped, starved and drained."""

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.e2e.harness import PROGRAMS, Freehold, MakeHome

CALLS, KILLS, TRACED_KILLS = 2000, 50, 8


def until(check: Callable[[], Any], timeout_s: float = 30.0, what: str = "") -> Any:
    """Wait until `check` is true and return what it gave."""
    deadline = time.monotonic() + timeout_s
    while not (found := check()):
        assert time.monotonic() < deadline, f"waited {timeout_s} s in vain for {what or check}"
        time.sleep(0.02)
    return found


def pid_of(home: Freehold) -> int:
    return int(json.loads((home.home / "server.json").read_text())["pid"])


def kill_server(home: Freehold) -> None:
    pid = pid_of(home)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, what="its death")


def up(home: Freehold, *words: str) -> float:
    """Start the server; return how long it took to serve."""
    begun = time.monotonic()
    home.ok("up", "--detach", *words)
    return time.monotonic() - begun


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def fresh(make_home: MakeHome) -> Freehold:
    """A server of the test's own, with a short lease."""
    home = make_home(FREEHOLD_LEASE_S="2")
    up(home)
    return home


def traced_until_killed(home: Freehold, when: int) -> None:
    """Run the server under strace, which kills it at its `when`-th sync of the database."""
    argv = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=fdatasync",
        "-e",
        f"inject=fdatasync:signal=SIGKILL:when={when}",
    ]
    process = subprocess.Popen(
        [*argv, *home.command("up")], env=home.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    process.wait(60)


@pytest.mark.slow
def test_r1_no_acknowledged_call_is_lost_and_no_result_recorded_twice(make_home: MakeHome, tmp_path: Path) -> None:
    home = make_home()
    up(home)
    home.ok("deploy", "durable.py")
    dice = random.Random(20261121)
    points = sorted(dice.sample(range(20, CALLS - 20), KILLS))
    traced = set(dice.sample(points, TRACED_KILLS)) if shutil.which("strace") else set[int]()
    acknowledged = tmp_path / "acknowledged"
    client = subprocess.Popen(
        [sys.executable, str(PROGRAMS / "durable.py"), str(CALLS), str(acknowledged)], env=home.env, cwd=PROGRAMS
    )
    slowest = 0.0
    try:
        for point in points:
            until(
                lambda point=point: len(lines(acknowledged)) >= point or client.poll() is not None, 60, f"call {point}"
            )
            kill_server(home)
            if point in traced:
                traced_until_killed(home, dice.randrange(3, 25))
            slowest = max(slowest, up(home))
        assert client.wait(120) == 0
    finally:
        client.kill()
    known = dict(json.loads(line) for line in lines(acknowledged))
    assert len(known) == CALLS
    until(lambda: unfinished(home) == 0, 60, "the end of all calls")
    first, second = results(home, known, tmp_path), results(home, known, tmp_path)
    assert first == second, "a result changed after it was recorded"
    assert {call: n for call, (n, _) in first.items()} == known
    assert slowest < 5.0 + 1.0, f"serving again took {slowest:.1f} s, start of the command included"
    said = "".join(p.read_text() for p in (home.home / "logs" / "system").glob("*.jsonl"))
    assert "locked" not in said


def results(home: Freehold, known: dict[str, int], scratch: Path) -> dict[str, tuple[int, str]]:
    """Every result as a client that comes later reads it."""
    out = scratch / "results"
    text = (
        "import freehold, json, sys\n"
        "ids = json.load(open(sys.argv[1]))\n"
        "got = freehold.FunctionCall.gather(*[freehold.FunctionCall.from_id(i) for i in ids])\n"
        "json.dump(dict(zip(ids, got)), open(sys.argv[2], 'w'))\n"
    )
    ids = scratch / "ids"
    ids.write_text(json.dumps(list(known)))
    subprocess.run([sys.executable, "-c", text, str(ids), str(out)], env=home.env, check=True, timeout=120)
    return {call: (n, token) for call, (n, token) in json.loads(out.read_text()).items()}


def instances(home: Freehold, app: str = "durable") -> list[dict[str, Any]]:
    return [i for i in home.json("instance", "list") if i["app"] == app and i["state"] in ("idle", "busy")]


def ask(home: Freehold, query: str) -> list[Any]:
    """Look into the database, beside the server."""
    with contextlib.closing(sqlite3.connect(f"file:{home.home / 'freehold.db'}?mode=ro", uri=True)) as db:
        return db.execute(query).fetchall()


def unfinished(home: Freehold) -> int:
    return ask(home, "select count(*) from calls where state in ('pending', 'running')")[0][0]


def live_pids(home: Freehold) -> list[int]:
    """Pids of ready instances that are alive."""
    pids = [
        row[0] for row in ask(home, "select pid from instances where state in ('idle', 'busy') and pid is not null")
    ]
    return [pid for pid in pids if alive(pid)]


def marks(home: Freehold, name: str) -> list[str]:
    """Lines that a function left in its volume."""
    return lines(home.home / "volumes" / "main" / "marks" / "files" / name)


def spawn_naps(home: Freehold, count: int, seconds: float, name: str) -> list[str]:
    text = (
        "import freehold, sys\n"
        "f = freehold.Function.from_name('durable', 'nap')\n"
        "print(*[f.spawn(n, float(sys.argv[2]), sys.argv[3]).object_id for n in range(int(sys.argv[1]))], sep='\\n')\n"
    )
    argv = [sys.executable, "-c", text, str(count), str(seconds), name]
    return subprocess.run(argv, env=home.env, check=True, capture_output=True, text=True, timeout=60).stdout.split()


@pytest.mark.slow
def test_r3_an_instance_stopped_past_its_lease_records_nothing(fresh: Freehold) -> None:
    fresh.ok("deploy", "durable.py")
    for turn in range(3):
        [call] = spawn_naps(fresh, 1, 4.0, f"stopped{turn}")
        [instance] = until(
            lambda: [i for i in instances(fresh) if i["function"] == "nap" and i["state"] == "busy"],
            what="a busy instance",
        )
        os.kill(instance["pid"], signal.SIGSTOP)
        shown = until(
            lambda call=call: (c := fresh.json("call", "show", call)) and c["call"]["state"] == "succeeded" and c,
            30,
            "its end elsewhere",
        )
        assert shown["inputs"][0]["attempt"] == 2
        assert shown["inputs"][0]["instance"] != instance["id"]
        until(lambda pid=instance["pid"]: not alive(pid), what="the end of the stopped instance")


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
def test_r4_calls_end_while_instances_are_killed_and_poison_ends(fresh: Freehold, tmp_path: Path) -> None:
    fresh.ok("deploy", "durable.py")
    acknowledged = tmp_path / "acknowledged"
    client = subprocess.Popen(
        [sys.executable, str(PROGRAMS / "durable.py"), "1500", str(acknowledged)], env=fresh.env, cwd=PROGRAMS
    )
    dice, killed = random.Random(4), 0
    deadline = time.monotonic() + 60
    try:
        while client.poll() is None or unfinished(fresh):
            assert time.monotonic() < deadline
            for pid in live_pids(fresh):
                if dice.random() < 0.5 and killed < 60:
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
            time.sleep(0.1)
    finally:
        client.kill()
    assert killed >= 3
    known = dict(json.loads(line) for line in lines(acknowledged))
    text = (
        "import freehold, sys, json\n"
        "ids = json.load(open(sys.argv[1]))\n"
        "for i in ids:\n"
        "    try: freehold.FunctionCall.from_id(i).get(timeout=30)\n"
        "    except freehold.exception.InstanceDiedError: pass\n"
    )
    ids = tmp_path / "ids"
    ids.write_text(json.dumps(list(known)))
    subprocess.run([sys.executable, "-c", text, str(ids)], env=fresh.env, check=True, timeout=120)
    poison = fresh("run", "poison.py")
    assert poison.returncode == 1
    assert "died" in poison.stdout + poison.stderr


@pytest.mark.slow
def test_r6_nothing_outlives_a_server_killed_with_9(make_home: MakeHome) -> None:
    home = make_home()
    for turn in range(5):
        up(home)
        home.ok("deploy", "durable.py")
        spawn_naps(home, 1, 60.0, f"r6-{turn}")
        until(lambda: [i for i in instances(home) if i["state"] == "busy"], what="a busy instance")
        descendants = psutil.Process(pid_of(home)).children(recursive=True)
        assert descendants
        kill_server(home)
        _, left = psutil.wait_procs(descendants, timeout=10)
        assert not [p for p in left if alive(p.pid)]


@pytest.mark.slow
def test_r12_what_runs_at_sigterm_finishes_or_is_queued_again(make_home: MakeHome) -> None:
    home = make_home(FREEHOLD_DRAIN_S="3")
    up(home)
    home.ok("deploy", "durable.py")
    [short] = spawn_naps(home, 1, 1.0, "short")
    until(lambda: marks(home, "short.began"), what="its begin")
    home.ok("down")
    assert marks(home, "short.ended") == ["0"], "a running input was not let finish"
    up(home)
    assert home.json("call", "show", short)["call"]["state"] == "succeeded"
    assert home.json("call", "show", short)["inputs"][0]["attempt"] == 1, "it ran again although it had finished"
    [long] = spawn_naps(home, 1, 6.0, "long")
    until(lambda: marks(home, "long.began"), what="its begin")
    home.ok("down")
    assert not marks(home, "long.ended")
    up(home)
    until(lambda: home.json("call", "show", long)["call"]["state"] == "succeeded", 30, "its end after the restart")


@pytest.mark.slow
def test_r16_cancelled_calls_stop_within_their_grace_and_do_nothing_after(fresh: Freehold) -> None:
    done = fresh("run", "cancelling.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all stopped" in done.stdout


@pytest.mark.slow
def test_r20_every_line_written_before_a_kill_is_there_in_order(fresh: Freehold) -> None:
    fresh.ok("deploy", "chatty.py")
    text = "import freehold; freehold.Function.from_name('chatty', 'talk').spawn()"
    subprocess.run([sys.executable, "-c", text], env=fresh.env, check=True)
    until(lambda: int((marks(fresh, "counter") or ["0"])[0]) > 20_000, 60, "some lines")
    [instance] = instances(fresh, "chatty")
    os.kill(instance["pid"], signal.SIGKILL)
    until(lambda: not alive(instance["pid"]), what="its death")
    written = int(marks(fresh, "counter")[0])
    kill_server(fresh)
    up(fresh)

    def collected() -> list[int]:
        said = fresh.ok("instance", "logs", instance["id"], "--tail", "1000000")
        return [int(line.split()[-1]) for line in said.splitlines() if "line" in line]

    found = until(lambda: (c := collected()) and c[-1] >= written and c, 60, f"line {written}")
    assert found == list(range(len(found))), "lines are missing, doubled or out of order"


@pytest.mark.slow
def test_r21_many_clients_that_meet_a_cold_model_load_it_once(fresh: Freehold) -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAMS / "cold.py")],
        env=fresh.env,
        cwd=PROGRAMS,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert marks(fresh, "loads") == ["loaded"]
    assert "500 answered" in done.stdout
