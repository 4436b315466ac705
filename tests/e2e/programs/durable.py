"""A deployed function whose results name the execution that made them; run as a program, it is the client of the kill test."""

import itertools
import json
import queue
import sys
import threading
import time
import uuid
from pathlib import Path

import freehold

app = freehold.App("durable")


@app.function(max_containers=2)
def work(n: int) -> tuple[int, str]:
    time.sleep(0.004)
    return n, uuid.uuid4().hex


def spawn_and_watch(count: int, folder: Path, pause_s: float) -> None:
    """Spawn from four threads until `count` are acknowledged and stdin ends; four more read each result as soon as it is there.

    `folder/acknowledged` gets [call, n] for each that was accepted, `folder/seen` gets [call, n, token] for each result.
    """
    function = freehold.Function.from_name("durable", "work")
    numbers, lock, enough = itertools.count(), threading.Lock(), threading.Event()
    accepted: queue.SimpleQueue[freehold.FunctionCall | None] = queue.SimpleQueue()
    with (folder / "acknowledged").open("a", buffering=1) as out, (folder / "seen").open("a", buffering=1) as seen:

        def spawn() -> None:
            while True:
                with lock:
                    n = next(numbers)
                if n >= count and enough.is_set():
                    return
                call = function.spawn(n)
                with lock:
                    out.write(json.dumps([call.object_id, n]) + "\n")
                accepted.put(call)
                time.sleep(pause_s)

        def watch() -> None:
            while (call := accepted.get()) is not None:
                result = call.get()
                with lock:
                    seen.write(json.dumps([call.object_id, *result]) + "\n")

        threading.Thread(target=lambda: (sys.stdin.read(), enough.set()), daemon=True).start()
        spawners, watchers = ([threading.Thread(target=run) for _ in range(4)] for run in (spawn, watch))
        for thread in [*spawners, *watchers]:
            thread.start()
        for thread in spawners:
            thread.join()
        for _ in watchers:
            accepted.put(None)
        for thread in watchers:
            thread.join()


if __name__ == "__main__":
    spawn_and_watch(int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
