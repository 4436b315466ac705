"""Cancels calls, some of which do not want to end, and watches that they do nothing afterwards."""

import signal
import time
from pathlib import Path

import freehold

app = freehold.App("cancelling")
marks = freehold.Volume.from_name("ticks", create_if_missing=True)
CALLS, GRACE_S = 40, 2.0


@app.function(max_containers=8, volumes={"/ticks": marks})
def tick(n: int) -> None:
    stubborn = n % 4 == 0
    if stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        try:
            while True:
                Path(f"/ticks/.{n}").write_text(str(time.time()))  # whole or not at all: it is killed at any moment
                Path(f"/ticks/.{n}").rename(f"/ticks/{n}")
                time.sleep(0.05)
        except BaseException:
            if not stubborn:
                raise


@app.local_entrypoint()
def main() -> None:
    calls = [tick.spawn(n) for n in range(CALLS)]
    time.sleep(1.5)
    cancelled: list[float] = []
    for call in calls:
        call.cancel()
        cancelled.append(time.time())
    for call in calls:
        try:
            call.get(timeout=30)
        except freehold.exception.CancelledError:
            pass
    time.sleep(max(0.0, cancelled[-1] + GRACE_S + 3.0 - time.time()))
    ticks = {
        int(f.path): float(b"".join(marks.read_file(f.path))) for f in marks.listdir("") if not f.path.startswith(".")
    }
    late = {n: at - cancelled[n] for n, at in ticks.items() if at > cancelled[n] + GRACE_S + 2.0}
    assert not late, f"still running: {late}"
    assert len(ticks) >= 8
    print(f"all stopped, {len(ticks)} had begun")
