"""Measure calls, arrays and starts: Freehold beside a bare pipe, a lean lower bound, a Ray actor and Celery.

python -m benchmarks.calls [--rounds 3] [--peers freehold,lean,pipe,ray,celery] [--what call,pipeline,…] [--json FILE]
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.environments import CACHE, ROOT, InstallError, environment, versions
from benchmarks.processes import end, fsync_ms, spin_ms, tree
from benchmarks.report import OURS, Row, medians, show

_LIMIT_S = 600  # of one peer in one round
_WHAT = "call,pipeline,map,spawn,arrays,torch,command,server"

CALLS = (
    Row("call_p50_ms", "warm call p50", "ms", 0.5),
    Row("call_p99_ms", "warm call p99", "ms"),
    Row("call_cpu_ms", "CPU a warm call", "ms"),
    Row("pipeline_per_s", "calls a second, pipelined", "1/s", 20_000, more=True),
    Row("pipeline_cpu_ms", "CPU a pipelined call", "ms"),
    Row("map_per_s", "inputs of a map a second", "1/s", more=True),
    Row("map_cpu_ms", "CPU an input", "ms"),
    Row("spawn_per_s", "spawned and fetched a second", "1/s", more=True),
    Row("echo_1mb_p50_ms", "1 MB array there and back p50", "ms"),
    Row("echo_100mb_p50_ms", "100 MB array there and back p50", "ms", 40),
    Row("echo_100mb_cpu_ms", "CPU of it", "ms"),
    Row("torch_start_ms", "start of an instance that imports torch", "ms", 30),
    Row("torch_cold_call_ms", "a call that has to wait for it", "ms"),
    Row("first_answer_ms", "from nothing to the first answer", "ms"),
)
SERVER = (
    Row("livez_s", "server's first 200, /livez", "s", 1.0),
    Row("first_200_s", "server's first 200 of /readyz", "s", 1.0),
    Row("first_200_new_home_s", "the same in a new home", "s"),
    Row("import_s", "import freehold", "s", 0.3),
    Row("help_s", "freehold --help", "s", 0.5),
    Row("rest_mb", "server at rest, PSS", "MiB", 120),
    Row("worked_mb", "server after all of the calls above, PSS", "MiB"),
)


@dataclass(frozen=True)
class Spec:
    """How a peer is run: its module, in which environment."""

    module: str
    requirements: str | None = None  # None: the environment that this runs in
    packages: tuple[str, ...] = ()  # whose versions are told
    torch: bool = False  # its environment gets torch too


PEERS = {
    OURS: Spec("benchmarks.peers.freehold", packages=("freehold", "uvloop")),
    "lean": Spec("benchmarks.lean", "lean", ("msgspec", "uvloop"), torch=True),
    "pipe": Spec("benchmarks.peers.pipe", "pipe", ("numpy",), torch=True),
    "ray": Spec("benchmarks.peers.ray_actor", "ray", ("ray",), torch=True),
    "celery": Spec("benchmarks.peers.celery_redis", "celery", ("celery", "redis")),
}


@dataclass
class Rounds:
    """What all rounds gave: figures and notes a peer, and how noisy the machine was."""

    figures: dict[str, list[dict[str, float]]] = field(default_factory=dict[str, list[dict[str, float]]])
    notes: list[str] = field(default_factory=list[str])
    failures: list[str] = field(default_factory=list[str])
    others: list[float] = field(default_factory=list[float])
    spin_ms: list[float] = field(default_factory=list[float])

    def add(self, peer: str, result: dict[str, Any]) -> None:
        self.figures.setdefault(peer, []).append(result["figures"])
        self.notes += [n for n in result["notes"] if n not in self.notes]
        self.others += result["others"]

    def fail(self, peer: str, error: Exception) -> None:
        self.failures.append(f"{peer}: {error}")
        print(self.failures[-1], file=sys.stderr, flush=True)


def main() -> int:
    options = _options()
    os.environ["BENCH_CACHE"] = options.cache
    rounds = Rounds()
    pythons = _environments(options.peers.split(","), Path(options.cache), rounds, torch="torch" in options.what)
    for number in range(options.rounds):
        for peer, python in pythons.items():
            begun = time.perf_counter()
            rounds.spin_ms.append(spin_ms())
            try:
                rounds.add(peer, measure(peer, python, options.what))
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                rounds.fail(peer, error)
            print(f"round {number + 1}: {peer} took {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    peers = {name: medians(figures) for name, figures in rounds.figures.items()}
    told = {name: versions(python, PEERS[name].packages) for name, python in pythons.items()}
    _print(peers, rounds, told)
    if options.json:
        document = {"medians": peers, "versions": told, "machine": _machine(rounds), **vars(rounds)}
        Path(options.json).write_text(json.dumps(document, indent=1))
    return 1 if rounds.failures else 0


def measure(peer: str, python: Path, what: str) -> dict[str, Any]:
    """Run one peer for one round in a process of its own; what it leaves behind is ended."""
    command = [str(python), "-m", PEERS[peer].module, "--what", what]
    env = {k: v for k, v in os.environ.items() if not k.startswith("FREEHOLD_")}
    env |= {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    if PEERS[peer].requirements:
        env["PYTHONPATH"] = str(ROOT)
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, said = process.communicate(timeout=_LIMIT_S)
    except BaseException:
        end(tree(process.pid))
        raise
    for line in out.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line.removeprefix("RESULT "))
    raise RuntimeError(f"ended with {process.returncode}:\n{said.strip()[-2000:]}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peers", default=",".join(PEERS), help="which, in which order")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured; the medians are shown")
    parser.add_argument("--what", default=_WHAT, help=f"which measures (default {_WHAT})")
    parser.add_argument("--cache", default=str(CACHE), help="where the peers' environments are kept")
    parser.add_argument("--json", help="write medians, all rounds and versions to this file")
    options = parser.parse_args()
    if unknown := set(options.peers.split(",")) - set(PEERS):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    return options


def _environments(names: Sequence[str], cache: Path, rounds: Rounds, *, torch: bool) -> dict[str, Path]:
    pythons: dict[str, Path] = {}
    for name in names:
        spec = PEERS[name]
        if name == "celery" and shutil.which("redis-server") is None:
            rounds.notes.append("celery: left out, there is no redis-server on PATH (apt-get install redis-server)")
        elif spec.requirements is None:
            pythons[name] = Path(sys.executable)
        else:
            try:
                pythons[name] = _with_torch(spec.requirements, cache, rounds, torch=torch and spec.torch)
            except InstallError as error:
                rounds.fail(name, error)
    return pythons


def _with_torch(name: str, cache: Path, rounds: Rounds, *, torch: bool) -> Path:
    if torch:
        try:
            return environment(name, "torch", cache=cache)
        except InstallError as error:
            rounds.notes.append(f"{name}: measured without torch, which could not be installed: {str(error)[-300:]}")
    return environment(name, cache=cache)


def _machine(rounds: Rounds) -> dict[str, float]:
    return {
        "cores": os.cpu_count() or 1,
        "fsync_ms": fsync_ms(CACHE),
        "spin_ms": statistics.median(rounds.spin_ms),
        "spin_ms_most": max(rounds.spin_ms),
        "others": statistics.median(rounds.others) if rounds.others else 0.0,
    }


def _print(peers: dict[str, dict[str, float]], rounds: Rounds, told: dict[str, dict[str, str]]) -> None:
    count = max(map(len, rounds.figures.values()), default=0)
    show(f"Calls: medians of {count} rounds; xN: Freehold is N times better", CALLS, peers)
    if OURS in peers:
        show("Server", SERVER, {OURS: peers[OURS]})
    machine = _machine(rounds)
    print("; ".join(f"{name}: {' '.join(f'{p} {v}' for p, v in packages.items())}" for name, packages in told.items()))
    print(
        f"{machine['cores']} cores; 4 KiB kept on disk in {machine['fsync_ms']:.2f} ms; a fixed loop took {machine['spin_ms']:.0f} ms "
        f"of CPU, {machine['spin_ms_most']:.0f} at worst; others used {machine['others']:.0%} of the machine"
    )
    for note in (*rounds.notes, *(f"FAILED {f}" for f in rounds.failures)):
        print(f"note: {note}")


if __name__ == "__main__":
    sys.exit(main())
