"""One image and one home for all these tests; a server and a launcher of its own for each."""

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from freehold.core.home import Home
from freehold.core.specs import FunctionSpec, ImageSpec
from freehold.launchers.process.launcher import ProcessLauncher
from freehold.launchers.process.sandbox import Level

from . import fake

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Kept over runs when FREEHOLD_TEST_IMAGES names a folder: building the image takes a second or two."""
    return Home(Path(os.environ.get("TEST_LAUNCHER_HOME") or tmp_path_factory.mktemp("launcher")))


async def plain_image(launcher: ProcessLauncher) -> Path:
    return await launcher.ensure_image(ImageSpec(), lambda _: None)


@pytest.fixture(params=["pids"])
def level(request: pytest.FixtureRequest) -> Any:
    """How much of a sandbox; tests that should hold at every level parametrise it."""
    return request.param


@pytest.fixture
async def server(home: Home, level: Level) -> AsyncIterator[fake.FakeServer]:
    async with fake.serve(home, plain_image, level=level) as running:
        yield running


@pytest.fixture
def spec() -> Callable[..., FunctionSpec]:
    def make(qualname: str, module: str = "work", **changes: Any) -> FunctionSpec:
        return FunctionSpec(name=qualname, module=module, qualname=qualname, **changes)

    return make
