"""Peer: Celery with one prefork worker; broker and results in a real Redis that keeps nothing on disk, as it is by default here."""

import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.processes import free_port, listens, start, until
from benchmarks.workload import Array, Peer, main

_ANSWER_S = 120


class CeleryRedis:
    pipelined = 3000

    def start(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bench-celery-")
        folder, port = Path(self._folder.name), free_port()
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
        start(["redis-server", "--port", str(port), *options], folder / "redis.log")
        until(lambda: listens(port), limit_s=10, what="redis-server's start")
        os.environ["BENCH_REDIS"] = f"redis://127.0.0.1:{port}/0"
        os.environ["C_FORCE_ROOT"] = "1"  # as root it unpickles only so
        worker = "-m celery -A benchmarks.peers.celery_app worker -c 1 -P prefork -l error"
        start([sys.executable, *worker.split()], folder / "worker.log")
        self._app: Any = import_module("benchmarks.peers.celery_app")

    def call(self, value: int) -> int:
        return self._app.noop.delay(value).get(timeout=_ANSWER_S)

    def pipeline(self, count: int) -> None:
        for answer in [self._app.noop.delay(i) for i in range(count)]:
            answer.get(timeout=_ANSWER_S)

    def echo(self, array: Array) -> Array:
        return self._app.echo.delay(array).get(timeout=_ANSWER_S)

    def stop(self) -> None:
        self._folder.cleanup()


if __name__ == "__main__":
    peer: Peer = CeleryRedis()
    main(peer)
