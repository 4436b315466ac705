"""The lower bound of a start: how long a forked child of a process that has imported torch takes to answer; and a fresh process."""

import gc
import os
import statistics
import subprocess
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from benchmarks.workload import Result

_FORKS = 30
_FRESH = 3


def measure_forks(result: Result) -> None:
    """Fork a parent that has torch, from a process of its own, so that this one stays free of it."""
    if find_spec("torch") is None:
        result.notes.append("lean: torch could not be installed")
        return
    command = [sys.executable, "-m", "benchmarks.forks"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    result.figures["torch_start_ms"] = float(done.stdout)


def measure_fresh(result: Result) -> None:
    """Start new interpreters that import torch."""
    if find_spec("torch") is None:
        result.notes.append("pipe: torch could not be installed")
        return
    took: list[float] = []
    for _ in range(_FRESH):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import torch; torch.ones(4).sum()"], check=True)
        took.append(1e3 * (time.perf_counter() - begun))
    result.figures["torch_start_ms"] = statistics.median(took)


def fork_ms() -> float:
    """From the fork to the first byte of a child that has run torch; the median, in a parent of one thread with its heap frozen."""
    torch: Any = import_module("torch")
    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()
    return statistics.median(_fork(torch) for _ in range(_FORKS))


def _fork(torch: Any) -> float:
    reader, writer = os.pipe()
    begun = time.perf_counter()
    child = os.fork()
    if child == 0:
        torch.ones(4).sum()
        os.write(writer, b"1")
        os._exit(0)
    os.read(reader, 1)
    took = 1e3 * (time.perf_counter() - begun)
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)
    return took


if __name__ == "__main__":
    print(fork_ms())
