"""The platform's metrics. Counting is a few dict operations on the loop's thread; Prometheus' types are made when it asks.

prometheus_client is imported at the first scrape: it costs 70 ms, which the server's start does not have.
"""

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client.registry import CollectorRegistry

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Labels = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PoolSample:
    """How one function stands now."""

    app: str
    function: str
    backlog: int
    instances: Mapping[str, int] = field(default_factory=dict[str, int])  # by state


class Histogram:
    """Counts by bucket, one set a label combination."""

    def __init__(self) -> None:
        self.counts: dict[Labels, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS) + 1))
        self.sums: dict[Labels, float] = defaultdict(float)

    def observe(self, labels: Labels, seconds: float) -> None:
        self.counts[labels][bisect_left(BUCKETS, seconds)] += 1
        self.sums[labels] += seconds

    def cumulative(self, labels: Labels) -> list[tuple[str, float]]:
        total, found = 0, list[tuple[str, float]]()
        for bound, count in zip((*BUCKETS, math.inf), self.counts[labels], strict=True):
            total += count
            found.append(("+Inf" if bound == math.inf else str(bound), total))
        return found


class Metrics:
    """Used from the loop's thread only. `pools` is asked at each scrape."""

    def __init__(self, *, version: str = "", pools: Callable[[], Iterable[PoolSample]] = lambda: ()) -> None:
        self.pools = pools
        self._version = version
        self._requests: dict[tuple[str, str, int], int] = defaultdict(int)
        self._request_seconds = Histogram()
        self._calls: dict[Labels, int] = defaultdict(int)
        self._call_seconds = Histogram()
        self._start_seconds = Histogram()
        self._registry: CollectorRegistry | None = None

    def request(self, *, method: str, handler: str, status: int, seconds: float) -> None:
        """`handler` is the route's template or the endpoint's label: few values, never a raw path."""
        self._requests[(method, handler, status)] += 1
        self._request_seconds.observe((method, handler), seconds)

    def call(self, *, app: str, function: str, state: str, seconds: float) -> None:
        """One input of a call has its final state."""
        self._calls[(app, function, state)] += 1
        self._call_seconds.observe((app, function), seconds)

    def started(self, phases: Mapping[str, float]) -> None:
        """An instance is ready; how long each phase of its start took."""
        for phase, seconds in phases.items():
            self._start_seconds.observe((phase,), seconds)

    def render(self) -> bytes:
        """Everything in Prometheus' text format, this process's own figures included."""
        from prometheus_client import exposition

        if self._registry is None:
            self._registry = _registry(self)
        return exposition.generate_latest(self._registry)

    def collect(self) -> Iterator[object]:
        """The current values, as prometheus_client's metric families."""
        from prometheus_client import core

        yield _counter("http_requests", "Requests by route.", ("method", "handler", "status"), self._requests)
        yield _histogram(
            "http_request_duration_seconds",
            "Seconds until the answer began.",
            ("method", "handler"),
            self._request_seconds,
        )
        yield _counter(
            "freehold_calls", "Inputs that ended, by their final state.", ("app", "function", "state"), self._calls
        )
        yield _histogram(
            "freehold_call_duration_seconds", "Seconds an input ran.", ("app", "function"), self._call_seconds
        )
        yield _histogram(
            "freehold_instance_start_seconds", "Seconds of each phase of a start.", ("phase",), self._start_seconds
        )
        instances = core.GaugeMetricFamily("freehold_instances", "Instances now.", labels=("app", "function", "state"))
        backlog = core.GaugeMetricFamily("freehold_backlog", "Inputs that wait.", labels=("app", "function"))
        for pool in self.pools():
            backlog.add_metric((pool.app, pool.function), pool.backlog)
            for state, count in pool.instances.items():
                instances.add_metric((pool.app, pool.function, state), count)
        yield instances
        yield backlog
        yield core.InfoMetricFamily("freehold_build", "This server.", value={"version": self._version})


def _registry(metrics: Metrics) -> "CollectorRegistry":
    from prometheus_client import core, process_collector

    registry = core.CollectorRegistry()
    process_collector.ProcessCollector(registry=registry)
    registry.register(metrics)  # type: ignore[arg-type]  # it collects
    return registry


def _counter(name: str, text: str, labels: Sequence[str], values: Mapping[Any, int]) -> object:
    from prometheus_client import core

    family = core.CounterMetricFamily(name, text, labels=labels)
    for key, count in list(values.items()):
        family.add_metric([str(k) for k in key], count)
    return family


def _histogram(name: str, text: str, labels: Sequence[str], values: Histogram) -> object:
    from prometheus_client import core

    family = core.HistogramMetricFamily(name, text, labels=labels)
    for key in list(values.counts):
        family.add_metric(key, buckets=values.cumulative(key), sum_value=values.sums[key])
    return family
