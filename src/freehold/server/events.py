"""What happens on the platform, told to whoever listens now (the dashboard); the store keeps what should be kept."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

_QUEUE_MAX = 1000


@dataclass(frozen=True, kw_only=True)
class Event:
    kind: str  # app, instance, call
    id: str
    name: str  # what happened: a state
    detail: dict[str, Any] = field(default_factory=dict[str, Any])


class Events:
    """A broadcast with a bound: a listener that does not read loses the oldest."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[Event]] = set()

    def publish(self, kind: str, subject: str, name: str, **detail: Any) -> None:
        if not self._queues:
            return
        event = Event(kind=kind, id=subject, name=name, detail=detail)
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

    async def subscribe(self) -> AsyncIterator[Event]:
        queue: asyncio.Queue[Event] = asyncio.Queue(_QUEUE_MAX)
        self._queues.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._queues.discard(queue)
