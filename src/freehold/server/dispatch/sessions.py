"""Sticky sessions of a pool: a session stays with its instance while that lives, though others come."""

from collections import OrderedDict
from collections.abc import Collection

from freehold.core.balancer import rendezvous

KEPT = 10_000  # sessions; of one that is forgotten, rendezvous hashing mostly says the same again


class Sessions:
    """Instances by session, the least lately used first."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def instance(self, session: str, live: Collection[str]) -> str | None:
        """The session's instance among those that live; a new session, or one whose instance is gone, gets one."""
        held = self._held.get(session)
        chosen = held if held in live else rendezvous(session, live)
        if chosen is None:
            self._held.pop(session, None)
            return None
        self._held[session] = chosen
        self._held.move_to_end(session)
        if len(self._held) > KEPT:
            self._held.popitem(last=False)
        return chosen
