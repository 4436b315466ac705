"""A server of their own for the SDK's tests."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.sdk.fake_server import FakeServer, served


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as running:
        yield running
