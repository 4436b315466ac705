"""Tunnel: where a port of a sandbox or an instance is reached from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tunnel:
    """Addresses on this machine: plain HTTP and TCP over its loopback, which nobody else hears."""

    host: str
    port: int
    unencrypted_host: str = ""
    unencrypted_port: int = 0

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def tls_socket(self) -> tuple[str, int]:
        """Host and port; without TLS, since the loopback needs none."""
        return self.host, self.port

    @property
    def tcp_socket(self) -> tuple[str, int]:
        return self.unencrypted_host or self.host, self.unencrypted_port or self.port
