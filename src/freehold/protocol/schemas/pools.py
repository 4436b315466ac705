"""Pools of instances: what overrides make, and how they are scaled."""

from dataclasses import dataclass, field

from freehold.core.overrides import Overrides


@dataclass(frozen=True, kw_only=True)
class VariantRequest:
    function: str  # its id
    overrides: Overrides


@dataclass(frozen=True, kw_only=True)
class VariantView:
    id: str
    overrides: Overrides  # as the server keeps them: secrets of the program sealed
    warnings: tuple[str, ...] = ()  # what it is given less of than it asks for


@dataclass(frozen=True, kw_only=True)
class PoolRef:
    """One pool of a function; bytes are base64."""

    function: str  # its id
    parameters: bytes = b""  # as `Submit.parameters`
    variant: str = ""


@dataclass(frozen=True, kw_only=True)
class ScalingChange:
    """None leaves what is."""

    min_instances: int | None = None
    max_instances: int | None = None  # 0: as many as the machine holds
    buffer_instances: int | None = None
    scaledown_window_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class ScalingRequest:
    pool: PoolRef
    change: ScalingChange = field(default_factory=ScalingChange)


@dataclass(frozen=True, kw_only=True)
class PoolView:
    backlog: int = 0  # inputs that wait
    instances: int = 0
    running: int = 0  # inputs that run
    headroom: int = 0  # inputs that its instances could take at once
