"""Tells listeners that apps or calls have moved on, once a tick at most, so that the hot path only counts."""

from collections.abc import Callable
from typing import Any

from freehold.server.dispatch.record import Record
from freehold.server.dispatch.registry import Registry


class Pulse:
    """Compares what is with what was at the last beat. `publish` is that of Events."""

    def __init__(self, *, registry: Registry, record: Record, publish: Callable[[str, str, str], Any]) -> None:
        self._registry, self._record, self._publish = registry, record, publish
        self._apps: object = None
        self._calls: object = None

    def beat(self) -> None:
        apps = [(a.id, a.version, a.state) for a in self._registry.apps.values()]
        pools = self._registry.pools()
        calls = (self._record.written, sum(p.running for p in pools), sum(p.backlog for p in pools))
        if apps != self._apps:
            self._publish("app", "", "changed")
        if calls != self._calls:
            self._publish("call", "", "changed")
        self._apps, self._calls = apps, calls
