"""Peer: a Ray actor, called from the driver that started it. Results live in memory, not on a disk."""

import os
import statistics
import tempfile
import time
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from benchmarks import work
from benchmarks.workload import Array, Peer, Result, main

_STORE_BYTES = 2 * 10**9
_COLD_STARTS = 2


class Worker:
    def noop(self, value: int) -> int:
        return work.noop(value)

    def echo(self, array: Any) -> Any:
        return work.echo(array)


class Torch:
    """An actor that has imported torch once it answers."""

    def __init__(self) -> None:
        self._torch: Any = import_module("torch")

    def ready(self) -> float:
        return float(self._torch.ones(4).sum())


class RayActor:
    pipelined = 5000

    def start(self) -> None:
        os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}  # no calls home, no token in ~/.ray
        self._folder = tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)
        self._ray: Any = import_module("ray")
        self._ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, object_store_memory=_STORE_BYTES)
        self._worker = self._ray.remote(Worker).remote()

    def call(self, value: int) -> int:
        return self._ray.get(self._worker.noop.remote(value))

    def pipeline(self, count: int) -> None:
        self._ray.get([self._worker.noop.remote(i) for i in range(count)])

    def echo(self, array: Array) -> Array:
        return self._ray.get(self._worker.echo.remote(array))

    def torch(self, result: Result) -> None:
        """Start fresh actors that import torch: from their creation to their first answer."""
        if find_spec("torch") is None:
            result.notes.append("ray: torch could not be installed")
            return
        took: list[float] = []
        for _ in range(_COLD_STARTS):
            begun = time.perf_counter()
            actor = self._ray.remote(num_cpus=0)(Torch).remote()
            self._ray.get(actor.ready.remote())
            took.append(1e3 * (time.perf_counter() - begun))
            self._ray.kill(actor)
        result.figures["torch_start_ms"] = statistics.median(took)

    def stop(self) -> None:
        self._ray.shutdown()
        self._folder.cleanup()


if __name__ == "__main__":
    actor = RayActor()
    peer: Peer = actor
    main(peer, {"torch": actor.torch})
