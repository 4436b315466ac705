"""How long the last of a crowd will wait, judged by how fast those before it were served."""

_ENOUGH = 5  # served, before it says anything


class Pace:
    """Of the crowd before one pool, from when somebody first had to wait."""

    def __init__(self) -> None:
        self._since = 0.0
        self._served = 0

    def begin(self, now: float) -> None:
        """Nobody waits now."""
        self._since, self._served = now, 0

    def served(self) -> None:
        self._served += 1

    def wait_s(self, place: int, now: float) -> float | None:
        """How long the one at this place will wait; None: too few were served to tell."""
        elapsed = now - self._since
        return place * elapsed / self._served if self._served >= _ENOUGH and elapsed > 0 else None
