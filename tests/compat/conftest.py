"""Programs written for Modal lie in a folder of their own, in which the commands of these tests run."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.e2e.harness import Freehold, MakeHome

from freehold.launchers.process import jail

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture(scope="session")
def server(server: Freehold) -> Freehold:
    return replace(server, programs=PROGRAMS)


@pytest.fixture(scope="session")
def make_home(make_home: MakeHome) -> MakeHome:
    def make(**extra: str) -> Freehold:
        return replace(make_home(**extra), programs=PROGRAMS)

    return make


@pytest.fixture(scope="session")
def jailed(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip tests of sandboxes where none can be held."""
    bwrap, mode, why = jail.find(tmp_path_factory.mktemp("jails"))
    if bwrap is None or mode != "overlay":
        pytest.skip(f"no sandboxes here: {why}")
