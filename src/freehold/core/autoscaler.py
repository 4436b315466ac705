"""How many instances a pool should have. A pure decision over a frozen snapshot; the pool carries the plan out."""

from dataclasses import dataclass
from math import ceil

from freehold.core.specs import Scaling

ABSORB_S = 0.1  # a backlog that the present instances finish within this time starts no new one


@dataclass(frozen=True, kw_only=True)
class Idle:
    """An instance that runs nothing."""

    instance: str
    since: float


@dataclass(frozen=True, kw_only=True)
class PoolSnapshot:
    """What the autoscaler sees of one pool. Times are of the monotonic clock."""

    scaling: Scaling
    per_instance: float  # inputs an instance is meant to run at once
    waiting: int
    running: int
    live: int  # STARTING, IDLE and BUSY instances
    leaving: int = 0  # instances that take nothing more and are not gone
    idle: tuple[Idle, ...] = ()
    mean_s: float | None = None  # mean duration of an input; None until one has ended


@dataclass(frozen=True, kw_only=True)
class ScalePlan:
    start: int = 0
    stop: tuple[str, ...] = ()


def decide(pool: PoolSnapshot, now: float) -> ScalePlan:
    """Return how many instances to start, and which idle ones to stop."""
    desired = _desired(pool)
    if desired > pool.live:
        most = pool.scaling.max_instances
        room = desired if most is None else most - pool.live - pool.leaving
        return ScalePlan(start=max(0, min(desired - pool.live, room)))
    window = pool.scaling.scaledown_window_s
    spare = pool.live - max(desired, pool.scaling.min_instances)
    old = sorted((i for i in pool.idle if now - i.since >= window), key=lambda i: i.since)
    return ScalePlan(stop=tuple(i.instance for i in old[: max(0, spare)]))


def _desired(pool: PoolSnapshot) -> int:
    scaling = pool.scaling
    waiting = pool.waiting
    if pool.mean_s is not None and pool.live:
        waiting = min(waiting, ceil(waiting * pool.mean_s / ABSORB_S))
    desired = ceil((pool.running + waiting) / max(1, pool.per_instance))
    if pool.waiting and not desired:
        desired = 1
    if desired:
        desired += scaling.buffer_instances
    desired = max(desired, scaling.min_instances)
    return desired if scaling.max_instances is None else min(desired, scaling.max_instances)
