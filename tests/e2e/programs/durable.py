"""A deployed function whose results name the execution that made them; run as a program, it is the client of the kill test."""

import json
import sys
import threading
import time
import uuid
from pathlib import Path

import freehold

app = freehold.App("durable")
marks = freehold.Volume.from_name("marks", create_if_missing=True)


@app.function(max_containers=2)
def work(n: int) -> tuple[int, str]:
    time.sleep(0.004)
    return n, uuid.uuid4().hex


@app.function(max_containers=1, volumes={"/marks": marks})
def nap(n: int, seconds: float, name: str) -> int:
    with Path(f"/marks/{name}.began").open("a") as began:
        began.write(f"{n}\n")
    time.sleep(seconds)
    with Path(f"/marks/{name}.ended").open("a") as ended:
        ended.write(f"{n}\n")
    return n


def spawn_all(count: int, acknowledged: Path) -> None:
    """Spawn `count` calls from a few threads; a line is written for each that was acknowledged."""
    function = freehold.Function.from_name("durable", "work")
    numbers, lock = iter(range(count)), threading.Lock()
    with acknowledged.open("a", buffering=1) as out:

        def run() -> None:
            while True:
                with lock:
                    n = next(numbers, None)
                if n is None:
                    return
                call = function.spawn(n)
                with lock:
                    out.write(json.dumps([call.object_id, n]) + "\n")

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    spawn_all(int(sys.argv[1]), Path(sys.argv[2]))
