"""A server of their own for the SDK's tests."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.sdk.fake_server import FakeServer, served
from tests.unit.sdk.stored_server import StoredServer, serving


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as running:
        yield running


@pytest.fixture
def stored() -> Iterator[StoredServer]:
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as running:
        yield running
