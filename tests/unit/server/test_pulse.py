from types import SimpleNamespace
from typing import Any

from freehold.core.states import AppState
from freehold.server.pulse import Pulse


def test_one_event_a_beat_and_none_when_nothing_moved() -> None:
    app = SimpleNamespace(id="ap-1", version=1, state=AppState.DEPLOYED)
    pool = SimpleNamespace(running=0, backlog=0)
    registry: Any = SimpleNamespace(apps={"ap-1": app}, pools=lambda: [pool])
    record: Any = SimpleNamespace(written=0)
    told: list[str] = []
    pulse = Pulse(registry=registry, record=record, publish=lambda kind, _id, _name: told.append(kind))

    def beat() -> list[str]:
        told.clear()
        pulse.beat()
        return list(told)

    beat()
    assert beat() == []
    record.written += 500
    assert beat() == ["call"]
    pool.running = 3
    assert beat() == ["call"]
    app.version = 2
    assert beat() == ["app"]
    assert beat() == []
