"""The work that every peer is given, and how it is timed. Runs inside the peer's environment: numpy, psutil and itself."""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from benchmarks.processes import Meter, end, tree

Array = np.ndarray[Any, np.dtype[np.uint8]]
WHAT = ("call", "pipeline", "arrays", "torch")


class Peer(Protocol):
    """A system that runs functions in one worker process."""

    pipelined: int  # calls in one pipelined run

    def start(self) -> None:
        """Start everything that the first call needs."""
        ...

    def call(self, value: int) -> int:
        """One round trip of a function that returns its argument."""
        ...

    def pipeline(self, count: int) -> None:
        """So many calls of it, sent without waiting for each other, every answer received."""
        ...

    def echo(self, array: Array) -> Array:
        """One round trip of an array."""
        ...

    def stop(self) -> None: ...


@dataclass
class Result:
    """What one round measured: milliseconds, unless the name says otherwise; what is absent was not measured."""

    figures: dict[str, float] = field(default_factory=dict[str, float])
    notes: list[str] = field(default_factory=list[str])
    others: list[float] = field(default_factory=list[float])

    def note_others(self, share: float) -> None:
        self.others.append(round(share, 3))


Extra = Callable[[Result], None]


def main(peer: Peer, extra: dict[str, Extra] | None = None) -> None:
    """Measure one peer and print its result as a line of JSON; `extra` are measures that only this peer has."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--what", default=",".join(WHAT))
    what = parser.parse_args().what.split(",")
    result = Result()
    try:
        _measure(peer, what, result)
        for name, measure in (extra or {}).items():
            if name in what:
                measure(result)
    finally:
        left = tree()[1:]
        peer.stop()
        end(left)
    print("RESULT " + json.dumps(vars(result)), flush=True)


def _measure(peer: Peer, what: list[str], result: Result) -> None:
    begun = time.perf_counter()
    peer.start()
    if peer.call(7) != 7:
        raise RuntimeError("the first call gave a wrong answer")
    result.figures["first_answer_ms"] = 1e3 * (time.perf_counter() - begun)
    if "call" in what:
        calls(peer, result)
    if "pipeline" in what:
        pipelined(peer.pipeline, peer.pipelined, result, "pipeline")
    if "arrays" in what:
        for megabytes, repeats in ((1, 30), (100, 7)):
            arrays(peer, megabytes, repeats, result)


def calls(peer: Peer, result: Result, *, most: int = 2000, limit_s: float = 4.0) -> None:
    """Round trips one after the other."""
    for i in range(50):
        peer.call(i)
    took: list[float] = []
    meter, stop = Meter(), time.perf_counter() + limit_s
    while len(took) < most and time.perf_counter() < stop:
        begun = time.perf_counter()
        peer.call(len(took))
        took.append(1e3 * (time.perf_counter() - begun))
    cost = meter.read()
    result.figures |= {
        "call_p50_ms": statistics.median(took),
        "call_p99_ms": sorted(took)[int(0.99 * len(took))],
        "call_cpu_ms": 1e3 * cost.cpu_s / len(took),
    }
    result.note_others(cost.others)


def pipelined(run: Callable[[int], None], count: int, result: Result, name: str) -> None:
    """Calls a second when none waits for another; the first tenth is warm-up."""
    run(max(count // 10, 1))
    meter = Meter()
    run(count)
    cost = meter.read()
    result.figures |= {f"{name}_per_s": count / cost.wall_s, f"{name}_cpu_ms": 1e3 * cost.cpu_s / count}
    result.note_others(cost.others)


def arrays(peer: Peer, megabytes: int, repeats: int, result: Result, *, limit_s: float = 8.0) -> None:
    """An array there and back; the first is warm-up, and the answer is read at both ends, not compared whole."""
    array = np.random.default_rng(0).integers(0, 255, megabytes * 10**6, dtype=np.uint8)
    _echo_ms(peer, array)
    took: list[float] = []
    meter, stop = Meter(), time.perf_counter() + limit_s
    while len(took) < repeats and (not took or time.perf_counter() < stop):
        took.append(_echo_ms(peer, array))
    result.figures[f"echo_{megabytes}mb_p50_ms"] = statistics.median(took)
    result.figures[f"echo_{megabytes}mb_cpu_ms"] = 1e3 * meter.read().cpu_s / len(took)


def _echo_ms(peer: Peer, array: Array) -> float:
    begun = time.perf_counter()
    answer = peer.echo(array)
    took = 1e3 * (time.perf_counter() - begun)
    if answer.nbytes != array.nbytes or answer[0] != array[0] or answer[-1] != array[-1]:
        raise RuntimeError("the array came back changed")
    return took
