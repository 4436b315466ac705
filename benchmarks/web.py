"""Measure a web endpoint that does nothing: through Freehold's ingress, beside plain uvicorn with FastAPI.

python -m benchmarks.web [--rounds 3] [--seconds 5] [--json FILE]
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import CACHE, ROOT, environment
from benchmarks.load import load, tool
from benchmarks.processes import Meter, end, free_port, listens, pss_mb, start, tree, until
from benchmarks.report import OURS, Row, medians, show

_WARM_S = 1
ROWS = (
    Row("c1_p50_ms", "one connection, p50", "ms"),
    Row("c1_p99_ms", "one connection, p99", "ms"),
    Row("c16_rps", "16 connections, requests a second", "1/s", more=True),
    Row("c16_p50_ms", "16 connections, p50", "ms"),
    Row("c16_p99_ms", "16 connections, p99", "ms"),
    Row("c16_cpu_ms", "CPU a request, all processes", "ms"),
    Row("c64_rps", "64 connections, requests a second", "1/s", more=True),
    Row("failed", "requests that failed", "in all"),
    Row("pss_mb", "memory of all processes, PSS", "MiB"),
)


@dataclass(frozen=True)
class Endpoint:
    """What is loaded, and the process whose tree is charged for it."""

    url: str
    pid: int


Serving = Callable[[], AbstractContextManager[Endpoint]]


@contextmanager
def freehold() -> Generator[Endpoint]:
    """The endpoint as people reach it: ingress, then the instance."""
    from benchmarks.programs import web
    from benchmarks.server import Server

    server = Server()
    server.start()
    try:
        web.app.deploy()
        url = web.noop.get_web_url()
        if url is None:
            raise RuntimeError("the endpoint has no URL")
        yield Endpoint(url, server.pid)
    finally:
        server.stop()


@contextmanager
def uvicorn() -> Generator[Endpoint]:
    """One process, with neither a proxy nor an isolated worker."""
    python, port = environment("uvicorn"), free_port()
    options = f"--host 127.0.0.1 --port {port} --no-access-log --log-level warning"
    command = [str(python), "-m", "uvicorn", "benchmarks.peers.uvicorn_app:app", *options.split()]
    with tempfile.TemporaryDirectory() as folder:
        process = start(command, Path(folder) / "log", {**os.environ, "PYTHONPATH": str(ROOT)})
        try:
            until(lambda: listens(port), limit_s=30, what="uvicorn's start")
            yield Endpoint(f"http://127.0.0.1:{port}/", process.pid)
        finally:
            end(tree(process.pid))


PEERS: dict[str, Serving] = {OURS: freehold, "uvicorn": uvicorn}


def measure(serving: Serving, seconds: int) -> dict[str, float]:
    """Load one endpoint with 1, 16 and 64 connections."""
    figures: dict[str, float] = {"failed": 0}
    with serving() as endpoint:
        load(endpoint.url, connections=4, seconds=_WARM_S)
        for connections in (1, 16, 64):
            meter, name = Meter(endpoint.pid), f"c{connections}"
            result = load(endpoint.url, connections=connections, seconds=seconds)
            cost = meter.read()
            figures |= {f"{name}_rps": result.rps, f"{name}_p50_ms": result.p50_ms, f"{name}_p99_ms": result.p99_ms}
            figures[f"{name}_cpu_ms"] = 1e3 * cost.cpu_s / result.requests
            figures["failed"] += result.failed
        figures["pss_mb"] = pss_mb(tree(endpoint.pid))
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of each load")
    parser.add_argument("--json", help="write all rounds to this file")
    options = parser.parse_args()
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in options.peers.split(",")}
    failures: list[str] = []
    for number in range(options.rounds):
        for name, figures in rounds.items():
            try:
                figures.append(measure(PEERS[name], options.seconds))
            except Exception as error:  # noqa: BLE001 (one failed round must not lose the others)
                failures.append(f"round {number + 1}: {name}: {type(error).__name__}: {error}")
    peers = {name: medians(figures) for name, figures in rounds.items()}
    show(
        f"A web endpoint: medians of {options.rounds} rounds, load by {tool()}; xN: Freehold is N times better",
        ROWS,
        peers,
    )
    if options.json:
        Path(options.json).write_text(json.dumps({"medians": peers, "rounds": rounds}, indent=1))
    for failure in failures:
        print(f"note: FAILED {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    CACHE.mkdir(parents=True, exist_ok=True)
    sys.exit(main())
