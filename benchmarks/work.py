"""The functions that run at the peers that import what they run by name."""

from typing import Any


def noop(value: int) -> int:
    return value


def echo(array: Any) -> Any:
    return array
