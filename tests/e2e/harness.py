"""The real command line over a home of its own."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAMS = Path(__file__).parent / "programs"
_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Freehold:
    """The command line over one home."""

    home: Path
    port: int
    extra: tuple[tuple[str, str], ...] = ()
    programs: Path = PROGRAMS  # the folder in which commands run

    @property
    def env(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("FREEHOLD_", "MODAL_"))}
        return (
            kept
            | {
                "FREEHOLD_HOME": str(self.home),
                "FREEHOLD_PORT": str(self.port),
                "NO_COLOR": "1",
                "PYTHONUNBUFFERED": "1",
            }
            | dict(self.extra)
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        return (self.home / "token").read_text().strip()

    def __call__(
        self, *words: str, stdin: str | None = None, cwd: Path | None = None
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(*words), env=self.env, input=stdin, cwd=cwd or self.programs, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )  # fmt: skip

    def ok(self, *words: str, stdin: str | None = None) -> str:
        """Run a command that has to succeed, and return its stdout."""
        done = self(*words, stdin=stdin)
        assert done.returncode == 0, (
            f"freehold {' '.join(words)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        )
        return done.stdout

    def lines(self, *words: str, stdin: str | None = None) -> list[str]:
        """Run a command that has to succeed, and return what it printed line by line."""
        return self.ok(*words, stdin=stdin).splitlines()

    def json(self, *words: str) -> Any:
        return json.loads(self.ok(*words, "--json"))

    def endpoints(self, app: str) -> dict[str, str]:
        """URLs of the functions of a deployed app that serve HTTP, by name."""
        return {f["name"]: f["endpoints"][""] for f in self.json("app", "show", app)["functions"] if f["endpoints"]}

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Start a command that goes on; whoever starts it ends it."""
        return subprocess.Popen(
            self.command(*words), env=self.env, cwd=self.programs, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
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


def wait_for(condition: Callable[[], Any], timeout_s: float = 30.0) -> None:
    """Wait until something that other processes bring about holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.1)


MakeHome = Callable[..., Freehold]
