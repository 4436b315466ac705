"""A model that nobody has loaded yet, in two forms: loaded once for all instances, and in its only instance."""

import time
from pathlib import Path

import freehold

app = freehold.App("cold")
marks = freehold.Volume.from_name("marks", create_if_missing=True)


def load(name: str) -> None:
    time.sleep(0.3)
    with Path(f"/marks/{name}").open("a") as loads:
        loads.write("loaded\n")


@app.cls(max_containers=4, cpu=0.05, memory=64, volumes={"/marks": marks})
class Shared:
    @freehold.enter(snap=True)
    def load(self) -> None:
        load("shared")

    @freehold.method()
    def predict(self, x: int) -> int:
        time.sleep(0.005)
        return x + 1


@app.cls(max_containers=1, cpu=0.05, memory=64, volumes={"/marks": marks})
class Single:
    @freehold.enter()
    def load(self) -> None:
        load("single")

    @freehold.method()
    def predict(self, x: int) -> int:
        return x + 1
