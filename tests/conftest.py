"""Fixtures and rules that hold for every test: no test reaches the real home, and what a machine lacks skips with a reason."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import playwright
import pytest

from tests.e2e.harness import Freehold, MakeHome, free_port

_NODE = Path(playwright.__file__ or "").parent / "driver" / "node"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def pytest_configure() -> None:
    if (
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):  # started in the background: what tests start would ignore Ctrl-C
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full", action="store_true", help="run the reliability proofs at the size docs/concepts/guarantees.md states"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    no_gpu = pytest.mark.skip(reason="no accelerator here (no /dev/nvidia0)")
    browser_items = [item for item in items if item.get_closest_marker("browser")]
    reason = _no_browser() if browser_items else ""
    for item in browser_items if reason else ():
        item.add_marker(pytest.mark.skip(reason=reason))
    for item in items:
        if item.get_closest_marker("gpu") and not Path("/dev/nvidia0").exists():
            item.add_marker(no_gpu)


def _no_browser() -> str:
    """Say why no browser can be driven here; empty when one can."""
    if CHROMIUM is None:
        return "no Chromium here (Debian: apt-get install chromium)"
    node = subprocess.run([_NODE, "--version"], capture_output=True, text=True, check=False)
    return f"Playwright does not run here: {node.stderr.strip()}" if node.returncode else ""


@pytest.fixture(autouse=True, scope="session")
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """Point every test, and what it starts, at a home of its own; and forget the settings of whoever runs the tests."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(("FREEHOLD_", "MODAL_"))}
    os.environ["FREEHOLD_HOME"] = str(tmp_path_factory.mktemp("home"))
    os.environ.setdefault("NO_COLOR", "1")
    yield
    for name in [n for n in os.environ if n.startswith("FREEHOLD_")]:
        del os.environ[name]
    os.environ.update(kept)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the browser; tests that ask for it carry `pytest.mark.browser`."""
    assert CHROMIUM is not None
    return CHROMIUM


# ---- a real server in a home of its own, driven by the real command line


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of built images for all servers of the session, so that each image is built once."""
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Iterator[MakeHome]:  # pyright: ignore[reportUnusedFunction]
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
def make_home(_homes: MakeHome) -> MakeHome:
    """As `_homes`, whose folder of programs a suite of tests may change; the server that all suites share is made without that."""
    return _homes


@pytest.fixture(scope="session")
def server(_homes: MakeHome) -> Iterator[Freehold]:
    """A server that tests share; each of them uses names of its own."""
    one = _homes()
    up = one("up", "--detach")
    assert up.returncode == 0, up.stdout + up.stderr
    assert one.url in up.stdout
    yield one
    down = one("down")
    assert down.returncode == 0, down.stderr
