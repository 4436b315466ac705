"""Functions that take their time, and say how far they are."""

import subprocess
import time
from pathlib import Path

import freehold

app = freehold.App("e2e-slow")


@app.function()
def wait(seconds: float = 60.0, mark: str = "") -> str:
    print("begun", flush=True)
    time.sleep(seconds)
    if mark:
        Path(mark).write_text("done")
    return "waited"


@app.local_entrypoint()
def main(seconds: float = 60.0) -> None:
    wait.remote(seconds)


@app.function(timeout=1)
def overdue() -> None:
    subprocess.Popen(["sleep", "300"])
    time.sleep(300)
