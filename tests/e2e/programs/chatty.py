"""Prints numbered lines as fast as it can, and notes beside them how far it came."""

import os

import freehold

app = freehold.App("chatty")
marks = freehold.Volume.from_name("marks", create_if_missing=True)


@app.function(max_containers=3, cpu=0.05, memory=64, volumes={"/marks": marks})
def talk() -> None:
    out = os.open(f"/marks/{os.environ['FREEHOLD_INSTANCE_ID']}", os.O_WRONLY | os.O_CREAT)
    for n in range(10_000_000):
        print("line", n)
        if n % 50 == 0:
            os.pwrite(out, f"{n:010}".encode(), 0)
