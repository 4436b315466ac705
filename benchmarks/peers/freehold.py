"""Freehold itself: a server, one instance a function, and this process as the client. Every result is in SQLite before its answer."""

import asyncio
import sqlite3
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.processes import pss_mb
from benchmarks.programs import calls
from benchmarks.server import FREEHOLD, Server
from benchmarks.workload import Array, Peer, Result, main, pipelined

from freehold.cli import control

_REPEATS = 5
_TORCH_STARTS = 10
_REST_S = 2.0
_KEPT = "select count(*) from inputs where state = 'succeeded'"


class Freehold:
    pipelined = 20_000

    def __init__(self) -> None:
        self._server = Server()

    def start(self) -> None:
        self._server.start()
        calls.app.deploy()

    def call(self, value: int) -> int:
        return calls.noop.remote(value)

    def pipeline(self, count: int) -> None:
        """Each call is a record of its own; that all were kept when the last answer came is looked up in the database."""
        before = self._kept()
        asyncio.run(_gather(count))
        if (kept := self._kept() - before) != count:
            raise RuntimeError(f"{count} calls were answered, but {kept} are in the database")

    def echo(self, array: Array) -> Array:
        return calls.echo.remote(array)

    def stop(self) -> None:
        self._server.stop()

    # ---- what only Freehold is asked

    def map(self, result: Result) -> None:
        """One call with many inputs."""
        pipelined(lambda count: _exhaust(calls.noop.map(range(count))), self.pipelined, result, "map")

    def spawn(self, result: Result) -> None:
        """Calls that are answered once they are written down; results are fetched afterwards."""
        pipelined(lambda count: asyncio.run(_spawn(count)), self.pipelined // 4, result, "spawn")

    def torch(self, result: Result) -> None:
        """Start instances from a warm parent that has imported torch; ours are the server's own phases."""
        from benchmarks.programs import torch_start

        try:
            torch_start.app.deploy()
        except Exception as error:  # noqa: BLE001 (torch is not to be had everywhere)
            result.notes.append(f"freehold: no torch image: {str(error)[-300:]}")
            return
        api = control.connect()
        starts, answers = list[float](), list[float]()
        for _ in range(_TORCH_STARTS + 1):
            begun = time.perf_counter()
            torch_start.ready.remote()
            answers.append(1e3 * (time.perf_counter() - begun))
            instance = control.instances(api, {"app": "bench-torch"})[0]  # the newest comes first
            starts.append(1e3 * instance.phases["total"])
            control.stop_instance(api, instance.id)
        result.figures["torch_start_ms"] = statistics.median(starts[1:])
        result.figures["torch_cold_call_ms"] = statistics.median(answers[1:])
        result.figures["torch_first_ms"] = answers[0]

    def command(self, result: Result) -> None:
        """What a user waits for before anything happens."""
        used = "import freehold; freehold.App, freehold.Image, freehold.Function"  # its names are imported when they are used
        timed = f"import time; t = time.perf_counter(); {used}; print(time.perf_counter() - t)"
        imported = [float(_run(sys.executable, "-c", timed)) for _ in range(_REPEATS)]
        result.figures["import_s"] = statistics.median(imported)
        helped: list[float] = []
        for _ in range(_REPEATS):
            begun = time.perf_counter()
            _run(str(FREEHOLD), "--help")
            helped.append(time.perf_counter() - begun)
        result.figures["help_s"] = statistics.median(helped)

    def server(self, result: Result) -> None:
        """Its start in a new home and again, and its memory: after all that was run, and with nothing deployed."""
        result.figures["worked_mb"] = pss_mb(self._server.processes()[:1])
        self._server.stop()
        server = self._server = Server()
        result.figures["first_200_new_home_s"] = max(server.start().values())
        server.stop()
        again = server.start()
        result.figures |= {"livez_s": again["livez"], "first_200_s": max(again.values())}
        time.sleep(_REST_S)
        result.figures |= {"rest_mb": pss_mb(server.processes()), "rest_processes": len(server.processes())}

    def _kept(self) -> int:
        database = sqlite3.connect(f"file:{self._server.home / 'freehold.db'}?mode=ro", uri=True)
        try:
            return database.execute(_KEPT).fetchone()[0]
        finally:
            database.close()


async def _gather(count: int) -> None:
    await asyncio.gather(*(calls.noop.remote.aio(i) for i in range(count)))


async def _spawn(count: int) -> None:
    spawned = await asyncio.gather(*(calls.noop.spawn.aio(i) for i in range(count)))
    await asyncio.gather(*(call.get.aio() for call in spawned))


def _exhaust(items: Any) -> None:
    for _ in items:
        pass


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    freehold = Freehold()
    peer: Peer = freehold
    more = (freehold.map, freehold.spawn, freehold.torch, freehold.command, freehold.server)
    main(peer, {measure.__name__: measure for measure in more})
