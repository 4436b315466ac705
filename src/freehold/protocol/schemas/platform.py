"""The server itself, its environments, and the form of every error."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ErrorBody:
    """`{"error": {...}}` of every answer that is not 2xx."""

    code: str
    message: str
    type: str  # class name in core.errors
    request_id: str = ""


@dataclass(frozen=True, kw_only=True)
class EnvironmentView:
    name: str
    created: float


@dataclass(frozen=True, kw_only=True)
class StatusView:
    version: str
    protocol: int
    home: str
    url: str
    pid: int
    started: float
    cpu_total: float
    cpu_reserved: float
    memory_total_mib: int
    memory_reserved_mib: int
    devices: tuple[str, ...]
    apps: int
    instances: int
    backlog: int
    running: int
    guards: dict[str, str]  # bubblewrap, cgroup, pdeathsig, sqlite: "ok", or what is missing and the fix
