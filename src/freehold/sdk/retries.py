"""Retries: how often, and how long apart, a failed input is tried again."""

from datetime import timedelta

from freehold.core import specs
from freehold.core.errors import InvalidError

_MAX_RETRIES, _MAX_BACKOFF, _MAX_DELAY_S = 10, 10.0, 60.0


class Retries:
    """Delay before retry n is `initial_delay * backoff_coefficient ** (n - 1)`, at most `max_delay`; all in seconds."""

    def __init__(
        self, *, max_retries: int, backoff_coefficient: float = 2.0, initial_delay: float = 1.0, max_delay: float = 60.0
    ) -> None:
        _between("max_retries", max_retries, 0, _MAX_RETRIES)
        _between("backoff_coefficient", backoff_coefficient, 1.0, _MAX_BACKOFF)
        _between("initial_delay", initial_delay, 0.0, _MAX_DELAY_S)
        _between("max_delay", max_delay, 0.0, _MAX_DELAY_S)
        self.max_retries, self.backoff_coefficient = max_retries, backoff_coefficient
        self.initial_delay, self.max_delay = timedelta(seconds=initial_delay), timedelta(seconds=max_delay)
        self.spec = specs.Retries(
            max_retries=max_retries, backoff=backoff_coefficient, initial_delay_s=initial_delay, max_delay_s=max_delay
        )


def retries_spec(given: "int | Retries | None") -> specs.Retries | None:
    """A whole number means so many retries, one second apart."""
    if given is None or given == 0:
        return None
    if isinstance(given, Retries):
        return given.spec if given.spec.max_retries else None
    return Retries(max_retries=given, backoff_coefficient=1.0, initial_delay=1.0).spec


def _between(name: str, value: float, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:  # pyright: ignore[reportUnnecessaryIsInstance]
        msg = f"retries: {name}={value!r} is not a number between {low:g} and {high:g}"
        raise InvalidError(msg)
