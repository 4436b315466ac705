"""A server of the test's own, and how much of each proof is run."""

from collections.abc import Callable, Iterator
from typing import Protocol

import pytest
from tests.e2e.harness import MakeHome
from tests.e2e.reliability.chaos import Server

Sized = Callable[[int, int], int]


class MakeServer(Protocol):
    def __call__(self, **settings: str) -> Server: ...


@pytest.fixture
def sized(request: pytest.FixtureRequest) -> Sized:
    """Choose between the count of every run and that of `make reliability` (`--full`)."""
    full = bool(request.config.getoption("--full"))
    return lambda quick, whole: whole if full else quick


@pytest.fixture
def make_server(make_home: MakeHome) -> Iterator[MakeServer]:
    """Make homes with a server each that is not started yet; all are ended with the test."""
    made: list[Server] = []

    def make(**settings: str) -> Server:
        made.append(Server(make_home(**settings)))
        return made[-1]

    yield make
    for server in made:
        server.kill()
