"""Instances that are stopped, killed, cancelled and met cold: R3, R4, R16, R21."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.e2e.harness import PROGRAMS, Freehold
from tests.e2e.reliability.chaos import (
    alive,
    ask,
    handles,
    kill,
    lines,
    pids,
    python,
    results,
    signal_all,
    spawn,
    unfinished,
    until,
    volume,
)
from tests.e2e.reliability.conftest import MakeServer, Sized

pytestmark = pytest.mark.slow
LEASE_S = 2.0
AT_ONCE = 20  # instances of `nap`
GRACE_S = 2.0  # of a cancellation
ATTEMPTS = 3  # of an input that kills its instances


@pytest.fixture
def home(make_server: MakeServer) -> Freehold:
    """A running server with a short lease."""
    server = make_server(FREEHOLD_LEASE_S=str(LEASE_S))
    server.up()
    return server.home


def test_r3_instances_stopped_past_their_lease_and_resumed_record_nothing(home: Freehold, sized: Sized) -> None:
    home.ok("deploy", "naps.py")
    dice, lost = random.Random(3), 0
    for turn in range(sized(1, 10)):
        lost += stop_and_resume(home, f"r3-{turn}", dice)
    assert lost >= sized(1, 10) * AT_ONCE // 3, f"only {lost} lost their lease: the test stopped them too shortly"
    print(f"R3: {sized(1, 10) * AT_ONCE} instances stopped and resumed, {lost} of them past their lease")


def stop_and_resume(home: Freehold, name: str, dice: random.Random) -> int:
    """Stop instances in the middle of their inputs and resume them one by one, around the end of their leases; return how many lost theirs."""
    calls = spawn(home, "naps", "nap", [[n, 0.5, name] for n in range(AT_ONCE)])
    began = volume(home, "marks") / f"{name}.began"
    until(lambda: len(lines(began)) == AT_ONCE, 60, "the begin of all")
    at = pids(home)
    stopped = {instance: at[instance] for instance in (line.split()[1] for line in lines(began))}
    held = handles(stopped.values())
    signal_all(held, signal.SIGSTOP)
    (volume(home, "marks") / f"{name}.go").touch()
    begun = time.monotonic()
    for handle, after_s in zip(held, sorted(dice.uniform(0.5, 1.5) * LEASE_S for _ in held), strict=True):
        time.sleep(max(0.0, begun + after_s - time.monotonic()))
        signal_all([handle], signal.SIGCONT)
        os.close(handle)
    until(lambda: not unfinished(home), 60, "the end of all")
    rows = {
        call: (instance, attempt)
        for call, instance, attempt in ask(home, "select call_id, instance, attempt from inputs")
    }
    given_up = set(ask(home, "select call_id, instance from attempts"))
    for call, (instance, _) in results(home, calls).items():
        assert instance == rows[call][0], "the result is not of the attempt that counts"
        assert (call, instance) not in given_up, "a result was taken from an instance that had lost its lease"
    mine = [instance for call, instance in given_up if call in calls]
    until(lambda: not any(alive(stopped[i]) for i in mine if i in stopped), 5, "the end of what lost its lease")
    return len(mine)


def test_r4_calls_end_while_instances_are_killed(home: Freehold, sized: Sized) -> None:
    calls, kills = sized(1_500, 5_000), sized(60, 200)
    home.ok("deploy", "durable.py")
    dice, killed = random.Random(4), dict[str, float]()
    deadline = time.monotonic() + 300
    with ThreadPoolExecutor(1) as executor:
        spawning = executor.submit(spawn, home, "durable", "work", [[n] for n in range(calls)], threads=8)
        while not spawning.done() or unfinished(home):
            assert time.monotonic() < deadline, f"{unfinished(home)} calls have no end"
            for instance, pid in pids(home).items():
                if len(killed) < kills and dice.random() < 0.5:
                    killed[instance] = time.time()
                    kill(pid)
            time.sleep(0.1)
    ids = spawning.result()
    assert len(killed) >= kills // 4
    ended = results(home, ids)
    assert [i for i, r in ended.items() if r == "InstanceDiedError"] == [
        i for i in ids if attempts(home, i) == ATTEMPTS
    ]
    assert all(ended[i] == "InstanceDiedError" or ended[i][0] == n for n, i in enumerate(ids))
    again = ask(
        home,
        "select a.instance, i.started from attempts a join inputs i on a.call_id = i.call_id and a.attempt + 1 = i.attempt "
        "where i.state = 'succeeded'",
    )
    waited = [started - killed[instance] for instance, started in again if instance in killed]
    assert waited
    assert max(waited) < LEASE_S + 5.0
    print(f"R4: {calls} calls, {len(killed)} kills, requeued and begun within {max(waited):.2f} s")


def attempts(home: Freehold, call: str) -> int:
    return ask(home, f"select count(*) from attempts where call_id = '{call}'")[0][0]


def test_r4_a_poisonous_input_ends_after_its_last_attempt_and_takes_no_other_with_it(home: Freehold) -> None:
    home.ok("deploy", "poison.py")
    poison, *others = spawn(home, "poison", "bite", [[n] for n in range(50)])
    ended = results(home, [poison, *others])
    assert ended[poison] == "InstanceDiedError"
    assert len(lines(volume(home, "marks") / "bites")) == ATTEMPTS
    assert [ended[call] for call in others] == list(range(1, 50))


def test_r16_cancelled_calls_stop_within_their_grace_and_do_nothing_after(home: Freehold, sized: Sized) -> None:
    with subprocess.Popen(
        [sys.executable, str(PROGRAMS / "cancelling.py"), str(sized(80, 500))],
        env=home.env, cwd=PROGRAMS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as client:  # fmt: skip
        assert client.stdout is not None
        told = client.stdout.readline()
        assert told, "a cancelled call had no end within 30 s"
        cancelled = {int(n): at for n, at in json.loads(told).items()}
        time.sleep(max(0.0, max(cancelled.values()) + GRACE_S + 2.0 - time.time()))
        files = {path: path.stat().st_size for path in volume(home, "ticks").iterdir()}
        trees = [path for path in files if path.suffix == ".tree"]
        assert len(files) - len(trees) == len(cancelled)
        assert trees
        late = {
            path.name: after
            for path in files
            if (after := last(lines(path)) - cancelled[int(path.stem)]) > GRACE_S + 2.0
        }
        assert not late, f"they went on for so many seconds: {late}"
        slowest_s = max(last(lines(path)) - cancelled[int(path.stem)] for path in files)
        print(f"R16: {len(cancelled)} calls cancelled while they ran, the last sign of one {slowest_s:.2f} s after")
        time.sleep(1.0)
        assert {path: path.stat().st_size for path in volume(home, "ticks").iterdir()} == files
        client.communicate(timeout=60)


def last(times: list[str]) -> float:
    """The last whole one: the writer was killed at any moment."""
    return max((float(t) for t in times[-2:] if t.count(".") == 1 and len(t) > 12), default=0.0)


def test_r21_many_clients_that_meet_a_cold_model_load_it_once(home: Freehold) -> None:
    home.ok("deploy", "cold.py")
    assert asyncio.run(post_all(home, 500)) == list(range(1, 501))
    assert lines(volume(home, "marks") / "single") == ["loaded"]
    answers = python(
        home,
        "import asyncio, freehold, json\n"
        "model = freehold.Cls.from_name('cold', 'Shared')()\n"
        "async def main(): return await asyncio.gather(*(model.predict.remote.aio(n) for n in range(500)))\n"
        "print(json.dumps(asyncio.run(main())))\n",
    )
    assert json.loads(answers) == list(range(1, 501))
    assert lines(volume(home, "marks") / "shared") == ["loaded"]
    assert len([i for i in home.json("instance", "list") if i["function"] == "Shared"]) > 1


async def post_all(home: Freehold, clients: int) -> list[Any]:
    """Ask from so many connections at once; return the results."""
    connections = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", home.port) for _ in range(clients)))
    return await asyncio.gather(*(post(home, *connection, n) for n, connection in enumerate(connections)))


async def post(home: Freehold, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, n: int) -> Any:
    body = json.dumps({"args": [n]})
    writer.write(
        f"POST /v1/functions/cold/Single/predict/call HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: Bearer {home.token}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    head, _, answer = (await asyncio.wait_for(reader.read(), 60)).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 200 "), head
    return json.loads(answer)["result"]
