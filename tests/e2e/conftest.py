"""A real server in a home of its own, driven by the real command line."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.harness import Freehold, MakeHome, free_port


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of built images for all servers of the session, so that each image is built once."""
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="session")
def make_home(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Iterator[MakeHome]:
    """Make homes without a server; what still runs in one when the session ends is taken down."""
    made: list[Freehold] = []

    def make(**extra: str) -> Freehold:
        # short: Unix sockets lie below it
        home = tmp_path_factory.mktemp("h", numbered=True)
        (home / "images").symlink_to(images, target_is_directory=True)
        one = Freehold(home, free_port() + 50 * len(made), tuple(extra.items()))
        made.append(one)
        return one

    yield make
    for one in made:
        one("down")
        shutil.rmtree(one.home, ignore_errors=True)


@pytest.fixture(scope="session")
def server(make_home: MakeHome) -> Iterator[Freehold]:
    """A server that tests share; each of them uses names of its own."""
    one = make_home()
    up = one("up", "--detach")
    assert up.returncode == 0, up.stdout + up.stderr
    assert one.url in up.stdout
    yield one
    down = one("down")
    assert down.returncode == 0, down.stderr
