"""A server with dicts and queues for commands that are run in this process."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.sdk.stored_server import StoredServer, serving


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> Iterator[StoredServer]:
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as running:
        monkeypatch.setenv("FREEHOLD_API", running.target.api)
        monkeypatch.setenv("FREEHOLD_LINK", running.target.link)
        monkeypatch.setenv("FREEHOLD_TOKEN", running.target.token)
        yield running
