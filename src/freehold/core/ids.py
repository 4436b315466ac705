"""Opaque ids: a prefix that names the kind, then 12 hex digits of milliseconds and 16 random ones, so ids sort by time."""

import os
import random
import time
from typing import Literal

Prefix = Literal["ap", "fu", "fc", "in", "ev", "st", "vo", "im", "ws", "rq", "cl", "pl", "di", "qu", "sb", "pr"]

# not os.urandom: an id is no secret, and a system call a call lets go of the interpreter lock. Forked children reseed
_random = random.Random()  # noqa: S311 (as above)
os.register_at_fork(after_in_child=_random.seed)


def new_id(prefix: Prefix) -> str:
    """Return a new id, such as `fc-019a8c0f4d21b7e6c1d2a3f40516`."""
    return f"{prefix}-{time.time_ns() // 1_000_000:012x}{_random.getrandbits(64):016x}"


def made_at(value: str, prefix: Prefix) -> float | None:
    """When an id of this kind was made, in seconds since the epoch; None for what is no such id."""
    return int(value.partition("-")[2][:12], 16) / 1000 if is_id(value, prefix) else None


def is_id(value: str, prefix: Prefix) -> bool:
    """Tell whether `value` has the form of an id of this kind."""
    head, _, tail = value.partition("-")
    return head == prefix and len(tail) == 28 and all(c in "0123456789abcdef" for c in tail)
