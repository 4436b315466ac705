"""Proxy: on Modal, an outbound address that stays the same. Here a machine has its own address, so it changes nothing."""

from typing import Self

from freehold.core.names import check_name


class Proxy:
    """Made by `from_name`, and taken by `proxy=`, for the sake of programs that name one."""

    def __init__(self, name: str) -> None:
        self.name = check_name(name, "a proxy")

    def __repr__(self) -> str:
        return f"Proxy({self.name!r})"

    @staticmethod
    def from_name(name: str, *, environment_name: str | None = None, client: object = None) -> "Proxy":
        del environment_name, client  # one environment a server, one client a process
        return Proxy(name)

    def hydrate(self, client: object = None) -> Self:
        """Nothing is to be asked for."""
        del client
        return self
