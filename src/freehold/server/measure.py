"""Feeds metrics and the request log from what the parts of the server tell."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from freehold.server.dispatch.instance import Instance
from freehold.server.dispatch.registry import Registry
from freehold.server.dispatch.task import LiveCall, Task
from freehold.server.ingress.contract import RequestRecord
from freehold.telemetry.logging import RequestLog
from freehold.telemetry.metrics import Metrics, PoolSample


class Measure:
    """What the server counts about itself."""

    def __init__(
        self, logs: Path, registry: Registry, *, version: str, call_later: Callable[[float, Callable[[], None]], object]
    ) -> None:
        self._registry = registry
        self._requests = RequestLog(logs, call_later=call_later)
        self.metrics = Metrics(version=version, pools=self._pools)
        self.close = self._requests.close

    def request(self, record: RequestRecord) -> None:
        """One HTTP request was answered."""
        self.metrics.request(
            method=record.method, handler=record.handler, status=record.status, seconds=record.duration_ms / 1e3
        )
        self._requests.write(
            method=record.method, handler=record.handler, status=record.status, duration_ms=record.duration_ms,
            request_id=record.request_id, call=record.call, instance=record.instance, error=record.error,
        )  # fmt: skip

    def input(self, call: LiveCall, task: Task, ended: float) -> None:
        """One input of a call is final."""
        begun = task.started if task.started is not None else ended
        self.metrics.call(
            app=call.app_name, function=call.function_name, state=task.state.value, seconds=max(0.0, ended - begun)
        )

    def ready(self, instance: Instance) -> None:
        """An instance is ready."""
        self.metrics.started(instance.phases)

    def _pools(self) -> Iterator[PoolSample]:
        for function in self._registry.functions.values():
            instances = [i for p in function.pools.values() for i in p.instances.values()]
            yield PoolSample(
                app=function.app.name, function=function.name, backlog=sum(p.backlog for p in function.pools.values()),
                instances=Counter(i.state.value for i in instances),
            )  # fmt: skip
