"""Functions of which this machine can run one."""

import os
import urllib.error
import urllib.request
from collections.abc import Callable

import modal

app = modal.App("compat-mixed")


@app.function()
def small() -> str:
    return "small"


@app.function(gpu="h100:8")
def expensive(x: int = 0) -> int:
    return x


@app.function(memory=1 << 30, cpu=1000)
def large() -> tuple[str, int]:
    return "large", int(os.environ["OMP_NUM_THREADS"]) - (os.cpu_count() or 1)


@app.function(memory=1 << 30)
def other() -> tuple[str, int]:
    return large.remote()


@app.function(gpu="h100:8")
@modal.fastapi_endpoint()
def page() -> str:
    return "page"


def say(name: str, ask: Callable[[], object]) -> None:
    try:
        print(name, ask())
    except modal.exception.ResourceExhaustedError as error:
        print(name, error)


@app.local_entrypoint()
def main() -> None:
    print(small.remote())
    say("remote", expensive.remote)
    say("spawn", lambda: expensive.spawn().get())
    say("map", lambda: list(expensive.map(range(50))))
    print(other.remote())
    print(small.with_options(cpu=2000).remote())
    try:
        urllib.request.urlopen(page.get_web_url() or "")
    except urllib.error.HTTPError as error:
        print("page", error.code, error.read().decode())
