"""An input that kills whatever runs it, among others that do no harm."""

import os
import signal
from pathlib import Path

import freehold

app = freehold.App("poison")
marks = freehold.Volume.from_name("marks", create_if_missing=True)


@app.function(max_containers=2, volumes={"/marks": marks})
def bite(n: int) -> int:
    if n == 0:
        with Path("/marks/bites").open("a") as bites:
            bites.write("bit\n")
        os.kill(os.getpid(), signal.SIGKILL)
    return n
