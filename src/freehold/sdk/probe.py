"""Probe: how one sees that a sandbox is ready."""

from dataclasses import dataclass
from typing import Self

from freehold.core import specs
from freehold.core.errors import InvalidError
from freehold.sdk import checks


@dataclass(frozen=True)
class Probe:
    """How one sees that a sandbox is ready; made by `with_tcp` or `with_exec`."""

    tcp_port: int | None = None
    exec_argv: tuple[str, ...] | None = None
    interval_ms: int = 100

    def __post_init__(self) -> None:
        if (self.tcp_port is None) == (self.exec_argv is None):
            msg = "make a Probe with Probe.with_tcp(PORT) or Probe.with_exec(PROGRAM, ...)"
            raise InvalidError(msg)

    @classmethod
    def with_tcp(cls, port: int, *, interval_ms: int = 100) -> Self:
        """Ready when this port of the sandbox takes connections."""
        if not checks.is_whole(port) or not 0 < port < 65_536:
            msg = f"Probe.with_tcp({port!r}): give a port from 1 to 65535"
            raise InvalidError(msg)
        return cls(tcp_port=port, interval_ms=_interval(interval_ms))

    @classmethod
    def with_exec(cls, *argv: str, interval_ms: int = 100) -> Self:
        """Ready when this command succeeds in the sandbox."""
        if not argv or not all(isinstance(a, str) for a in argv):  # pyright: ignore[reportUnnecessaryIsInstance]
            msg = f"Probe.with_exec{argv!r}: give a program and its arguments, as texts"
            raise InvalidError(msg)
        return cls(exec_argv=argv, interval_ms=_interval(interval_ms))

    @property
    def argv(self) -> tuple[str, ...]:
        """What is run in the sandbox to see it."""
        if self.exec_argv is not None:
            return self.exec_argv
        return ("python", "-c", f"import socket; socket.create_connection(('127.0.0.1', {self.tcp_port}), 1).close()")

    @property
    def spec(self) -> specs.Probe:
        return specs.Probe(port=self.tcp_port, command=self.exec_argv or (), interval_s=self.interval_ms / 1000)


def _interval(interval_ms: int) -> int:
    if not checks.is_whole(interval_ms) or interval_ms <= 0:
        msg = f"a Probe's interval_ms={interval_ms!r} is not a whole number above 0"
        raise InvalidError(msg)
    return interval_ms
