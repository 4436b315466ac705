"""An input that holds a device and leaves processes that do not want to end: in sessions of their own, deaf to SIGTERM."""

import os
import signal
import subprocess
import time
from pathlib import Path

import freehold

app = freehold.App("haunt")
marks = freehold.Volume.from_name("marks", create_if_missing=True)
DEAF = "trap '' TERM HUP INT;"


@app.function(gpu="A10G", max_containers=2, cpu=0.05, memory=64, timeout=3600, volumes={"/marks": marks})
def haunt(seconds: str) -> None:
    """`seconds` is how long the processes would live, and the word to find them by."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen(["sh", "-c", f"{DEAF} sleep {seconds}"])
    subprocess.Popen(["setsid", "sh", "-c", f"{DEAF} sleep {seconds} & {DEAF} sleep {seconds}"])
    if os.fork() == 0:  # and one whose parent is gone
        os.setsid()
        if os.fork() == 0:
            os.execvp("sleep", ["sleep", seconds])
        os._exit(0)
    with Path("/marks/haunted").open("a") as out:
        out.write(seconds + "\n")
    time.sleep(3600)
