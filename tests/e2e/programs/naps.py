"""Inputs that note when they begin and end, and say who ran them."""

import os
import time
import uuid
from pathlib import Path

import freehold

app = freehold.App("naps")
marks = freehold.Volume.from_name("marks", create_if_missing=True)


@app.function(max_containers=20, cpu=0.05, memory=64, volumes={"/marks": marks})
def nap(n: int, seconds: float, name: str) -> tuple[str, str]:
    """Begin, wait until `name`.go is there, sleep, end; return the instance and a name of this execution."""
    instance = os.environ["FREEHOLD_INSTANCE_ID"]
    note(f"{name}.began", f"{n} {instance}")
    while not Path(f"/marks/{name}.go").exists():
        time.sleep(0.01)
    time.sleep(seconds)
    note(f"{name}.ended", f"{n} {instance}")
    return instance, uuid.uuid4().hex


def note(file: str, text: str) -> None:
    with Path(f"/marks/{file}").open("a") as out:
        out.write(text + "\n")
