"""Processes of a peer: what its whole tree costs in CPU and memory, and how it is ended."""

import contextlib
import ctypes
import os
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

_PR_SET_PDEATHSIG = 1


def start(command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
    """Start a process that writes to `log` and dies with this one."""
    libc = ctypes.CDLL(None)
    with log.open("ab") as output:
        return subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=None if env is None else dict(env),
            preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509 (no threads yet)
        )  # fmt: skip


def tree(root: int | None = None) -> list[psutil.Process]:
    """A process (this one) and every descendant."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(root)
        return [process, *process.children(recursive=True)]
    return []


def cpu_s(processes: Iterable[psutil.Process]) -> float:
    """User and system time so far; those that have ended count nothing."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def pss_mb(processes: Iterable[psutil.Process]) -> float:
    """Memory in MiB, shared pages divided among those who share them."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            memory: Any = process.memory_full_info()
            total += memory.pss
    return total / 2**20


@dataclass(frozen=True)
class Cost:
    """What a stretch of work cost: its own tree's CPU, and the share of the machine that all else took meanwhile."""

    wall_s: float
    cpu_s: float
    others: float


class Meter:
    """Reads the CPU of this process's tree between `Meter()` and `read()`."""

    def __init__(self, root: int | None = None) -> None:
        self._root = root
        self._begun, self._own, self._all = time.perf_counter(), cpu_s(tree(root)), _machine_s()

    def read(self) -> Cost:
        own, machine = cpu_s(tree(self._root)) - self._own, _machine_s() - self._all
        wall = time.perf_counter() - self._begun
        cores = os.cpu_count() or 1
        return Cost(wall, own, max(0.0, (machine - own) / (wall * cores)))


def _machine_s() -> float:
    times = psutil.cpu_times()
    return times.user + times.nice + times.system + times.irq + times.softirq + times.steal


def end(processes: Iterable[psutil.Process]) -> None:
    """Kill what is left of these."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(list(processes), timeout=5)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(ready: Callable[[], bool], *, limit_s: float, what: str, poll_s: float = 0.005) -> float:
    """Wait until something holds; return the seconds it took."""
    begun = time.perf_counter()
    while not ready():
        if time.perf_counter() - begun > limit_s:
            raise TimeoutError(f"{what} took more than {limit_s:g} s")
        time.sleep(poll_s)
    return time.perf_counter() - begun


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


# ---- what figures of this moment are worth


def spin_ms() -> float:
    """CPU time of a fixed loop: neighbours on the same core slow it down."""
    begun, total = time.process_time(), 0
    for i in range(300_000):
        total += i * i
    return 1e3 * (time.process_time() - begun)


def fsync_ms(folder: Path) -> float:
    """How long the disk takes to keep 4 KiB; the median of 20."""
    took: list[float] = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(20):
            begun = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            took.append(1e3 * (time.perf_counter() - begun))
    return statistics.median(took)
