"""Cancels calls, some of which do not want to end, and prints when it did; test_instances.py watches what they go on to do."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import freehold

app = freehold.App("cancelling")
ticks = freehold.Volume.from_name("ticks", create_if_missing=True)
ROUND = 20  # of each function
TREE = "trap '' TERM HUP; setsid sh -c \"trap '' TERM HUP; while :; do date +%s.%N >> {0}; sleep 0.1; done\" & wait"


@app.function(max_containers=ROUND, cpu=0.05, memory=64, volumes={"/ticks": ticks})
def solo(n: int) -> None:
    if n % 4 == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if n % 4 in (1, 2):
        subprocess.Popen(["sh", "-c", TREE.format(f"/ticks/{n}.tree")])
    work(n)


@app.function(max_containers=2, cpu=0.05, memory=64, volumes={"/ticks": ticks})
@freehold.concurrent(max_inputs=ROUND // 2)
def chorus(n: int) -> None:
    work(n)


def work(n: int) -> None:
    """Write down the time, on and on; every fourth will not be stopped, another fourth cannot be while it sleeps."""
    file = Path(f"/ticks/{n}.work")
    while True:
        try:
            while True:
                with file.open("a") as out:
                    out.write(f"{time.time()}\n")
                time.sleep(3600 if n % 4 == 2 else 0.1)
        except BaseException:
            if n % 4:
                raise


def cancel_round(numbers: range) -> dict[int, float]:
    functions = [solo if i < ROUND else chorus for i in range(len(numbers))]
    calls = {n: function.spawn(n) for n, function in zip(numbers, functions, strict=True)}
    wanted = {f"{n}.work" for n in numbers}
    while not wanted <= {f.path for f in ticks.listdir("")}:
        time.sleep(0.1)
    cancelled: dict[int, float] = {}
    for n, call in calls.items():
        call.cancel()
        cancelled[n] = time.time()
    for call in calls.values():
        try:
            call.get(timeout=30)
        except freehold.exception.CancelledError:
            continue
        raise AssertionError(f"{call.object_id} was not cancelled")
    return cancelled


if __name__ == "__main__":
    with app.run():
        count, cancelled = int(sys.argv[1]), dict[int, float]()
        for first in range(0, count, 2 * ROUND):
            cancelled |= cancel_round(range(first, min(count, first + 2 * ROUND)))
        print(json.dumps(cancelled), flush=True)
        sys.stdin.read()  # the app stays up, so that nothing but the cancellation ends anything
