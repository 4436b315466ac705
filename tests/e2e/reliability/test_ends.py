"""Servers that are killed and stopped, and what becomes of all that ran below them: R6, R12, R20."""

import os
import random
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import psutil
import pytest
from tests.e2e.harness import Freehold
from tests.e2e.reliability.chaos import (
    Server,
    alive,
    ask,
    kill,
    lines,
    pids,
    spawn,
    unfinished,
    until,
    volume,
)
from tests.e2e.reliability.conftest import MakeServer, Sized

from freehold.telemetry.files import parts

pytestmark = pytest.mark.slow
GONE_WITHIN_S = 10.0
DRAIN_S = 3.0


def test_r6_nothing_outlives_a_server_killed_with_9_and_its_devices_are_free(
    make_server: MakeServer, sized: Sized
) -> None:
    servers = [make_server(FREEHOLD_DEVICES="A10G:2") for _ in range(sized(2, 4))]
    for server in servers:  # one after the other, since they share the folder of images
        server.up()
        server.home.ok("deploy", "haunt.py")
    with ThreadPoolExecutor(len(servers)) as executor:
        work = [
            executor.submit(haunted_to_death, server, number, sized(4, 25)) for number, server in enumerate(servers)
        ]
        slowest_s = max(one.result() for one in work)
    assert slowest_s < GONE_WITHIN_S
    print(f"R6: {len(servers) * sized(4, 25)} kills, all gone within {slowest_s:.2f} s")


def haunted_to_death(server: Server, number: int, kills: int) -> float:
    """Kill the server again and again while two inputs hold both of its devices; return how long what was below it lived on."""
    word, slowest_s = f"{600 + number}.{os.getpid()}", 0.0
    spawn(server.home, "haunt", "haunt", [[word], [word]])
    haunted = volume(server.home, "marks") / "haunted"
    for turn in range(kills):
        if turn:
            server.up()  # the inputs go on by themselves, which they can only if both devices are free
        until(lambda turn=turn: len(lines(haunted)) == 2 * turn + 2, 60, "both devices in use")
        until(lambda: len(sleeping(word)) == 8, 10, "all that the inputs start")
        below = psutil.Process(server.pid).children(recursive=True)
        server.kill()
        begun = time.monotonic()
        until(
            lambda below=below: not any(alive(p.pid) for p in [*below, *sleeping(word)]),
            2 * GONE_WITHIN_S,
            "the end of all",
        )
        slowest_s = max(slowest_s, time.monotonic() - begun)
    return slowest_s


def sleeping(word: str) -> list[psutil.Process]:
    """Wherever they are in the tree by now."""
    return [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", word]]


def test_r12_at_sigterm_exactly_what_cannot_finish_is_queued_again(make_server: MakeServer) -> None:
    server = make_server(FREEHOLD_DRAIN_S=str(DRAIN_S))
    server.up()
    server.home.ok("deploy", "naps.py")
    marks = volume(server.home, "marks")
    short, long, waiting = range(10), range(10, 20), range(20, 30)
    seconds = {n: 1.0 if n in short else 2 * DRAIN_S if n in long else 0.0 for n in (*short, *long, *waiting)}
    inputs = [(n, seconds[n], "r12") for n in seconds]
    calls = spawn(server.home, "naps", "nap", inputs)
    until(lambda: len(lines(marks / "r12.began")) == 20, 60, "a full house")
    (marks / "r12.go").touch()
    begun = time.monotonic()
    server.end(signal.SIGTERM)
    assert time.monotonic() - begun < DRAIN_S + 3.0
    assert numbers(marks / "r12.ended") == Counter(short)
    assert numbers(marks / "r12.began") == Counter((*short, *long)), "something new was begun while the server stopped"
    assert {c for (c,) in ask(server.home, "select id from calls where state = 'succeeded'")} == {
        calls[n] for n in short
    }
    assert unfinished(server.home) == 20
    server.up()
    until(lambda: not unfinished(server.home), 60, "the end of all")
    assert numbers(marks / "r12.began") == Counter((*short, *long, *long, *waiting))
    assert numbers(marks / "r12.ended") == Counter((*short, *long, *waiting))
    assert ask(server.home, "select count(*) from calls where state = 'succeeded'") == [(30,)]


def numbers(path: Path) -> "Counter[int]":
    return Counter(int(line.split()[0]) for line in lines(path))


def test_r20_every_line_written_before_a_kill_is_there_once_and_in_order(make_server: MakeServer, sized: Sized) -> None:
    wanted = sized(100_000, 1_000_000)
    server = make_server(FREEHOLD_LOG_MAX_BYTES=str(2**22), FREEHOLD_LOG_FILES_KEPT="1000")
    server.up()
    home, dice = server.home, random.Random(20)
    home.ok("deploy", "chatty.py")
    spawn(home, "chatty", "talk", [()] * 500)
    killed = Counter[str]()
    while sum(told(home).values()) < wanted or min(killed["server"], killed["instance"]) < 2:
        time.sleep(dice.uniform(0.1, 1.0))
        if dice.random() < 0.3:
            server.kill()
            server.up()
            killed["server"] += 1
        elif victims := list(pids(home).values()):
            kill(dice.choice(victims))
            killed["instance"] += 1
    server.kill()
    before = told(home)
    server.up()
    home.ok("app", "stop", "chatty", "--yes")
    until(lambda: not list((home.home / "instances").glob("*/output")), 300, "the collection of all that was written")
    logs = parts(next((home.home / "logs").glob("*/chatty.jsonl")))
    assert len(logs) > 3, "the log was not rotated"
    found = Counter[str]()
    for part in logs:
        with part.open("rb") as file:
            for raw in file:
                line = msgspec.json.decode(raw)
                if line["message"].startswith("line "):
                    assert line["message"] == f"line {found[line['instance']]}", (
                        "a line is missing, doubled or out of order"
                    )
                    found[line["instance"]] += 1
    assert {i: n for i, n in before.items() if found[i] <= n} == {}, "lines that were written before a kill are missing"
    print(f"R20: {found.total()} lines of {len(found)} instances, {dict(killed)} killed, {len(logs)} files")


def told(home: Freehold) -> dict[str, int]:
    """How many lines each instance says that it has written, at least."""
    return {path.name: int(path.read_text() or 0) for path in volume(home, "marks").glob("in-*")}
