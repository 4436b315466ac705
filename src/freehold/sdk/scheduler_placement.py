"""SchedulerPlacement: where in a cloud an instance is to be. On machines of one's own it has no effect."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SchedulerPlacement:
    """Taken as Modal's, and without effect."""

    region: str | tuple[str, ...] | None = None
    zone: str | None = None
    spot: bool | None = None
    instance_type: str | tuple[str, ...] | None = None
