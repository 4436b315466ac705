"""A real server in a home of its own, driven by the real command line."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = Path(__file__).parent / "programs"
_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Freehold:
    """The command line over one home."""

    home: Path
    port: int
    extra: tuple[tuple[str, str], ...] = ()

    @property
    def env(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("FREEHOLD_", "MODAL_"))}
        return kept | {"FREEHOLD_HOME": str(self.home), "FREEHOLD_PORT": str(self.port), "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"} | dict(self.extra)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        return (self.home / "token").read_text().strip()

    def __call__(self, *words: str, stdin: str | None = None, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(*words), env=self.env, input=stdin, cwd=cwd or PROGRAMS, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )  # fmt: skip

    def ok(self, *words: str, stdin: str | None = None) -> str:
        """Run a command that has to succeed, and return its stdout."""
        done = self(*words, stdin=stdin)
        assert done.returncode == 0, f"freehold {' '.join(words)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.ok(*words, "--json"))

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Start a command that goes on; whoever starts it ends it."""
        return subprocess.Popen(
            self.command(*words), env=self.env, cwd=PROGRAMS, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )  # fmt: skip

    @staticmethod
    def command(*words: str) -> list[str]:
        return [sys.executable, "-m", "freehold.cli.main", *words]


def free_port() -> int:
    """Return a port that is free now, outside the range that the kernel hands out by itself."""
    for port in range(20_000 + os.getpid() % 5_000, 32_000, 7):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise OSError("no free port")


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of built images for all servers of the session, so that each image is built once."""
    return tmp_path_factory.mktemp("images")


MakeHome = Callable[..., Freehold]


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
