"""What these tests do to servers and instances, and how they look at them from outside: processes, database, volume."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import psutil
from tests.e2e.harness import Freehold

STRACE = shutil.which("strace")
_STRACE_WORKS = STRACE is not None and subprocess.run([STRACE, "-f", "-qq", "true"], capture_output=True, check=False).returncode == 0  # fmt: skip


def until(check: Callable[[], Any], timeout_s: float = 30.0, what: str = "") -> Any:
    """Wait until `check` is true and return what it gave."""
    deadline = time.monotonic() + timeout_s
    while not (found := check()):
        assert time.monotonic() < deadline, f"waited {timeout_s} s in vain for {what or check}"
        time.sleep(0.01)
    return found


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it was quicker
        os.kill(pid, signal.SIGKILL)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


# ---- the server


class Server:
    """A server in a home, started without the command's detour, so that it can be killed at any moment of its start."""

    def __init__(self, home: Freehold) -> None:
        self.home = home
        self._process: subprocess.Popen[bytes] | None = None
        self._traced = False

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def begin(self, *tracer: str) -> "subprocess.Popen[bytes]":
        """Start it, and do not wait."""
        (self.home.home / "server.json").unlink(missing_ok=True)
        self._traced = bool(tracer)
        with (self.home.home / "server.out").open("ab") as out:
            self._process = subprocess.Popen([*tracer, *self.home.command("up")], env=self.home.env, stdout=out, stderr=out)  # fmt: skip
        return self._process

    def up(self) -> float:
        """Start it; return how long it took to serve."""
        begun = time.monotonic()
        process = self.begin()
        until(lambda: self.serves() or process.poll() is not None, 60, "the server")
        assert process.poll() is None, self.said()
        return time.monotonic() - begun

    def serves(self) -> bool:
        """It tells where it is, which it does last of all."""
        return (self.home.home / "server.json").exists()

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    def end(self, number: int = signal.SIGTERM) -> None:
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            traced = psutil.Process(process.pid).children() if self._traced else []
            for one in traced or [process]:  # the tracer passes no signal on, and ends with what it traces
                one.send_signal(number)
            process.wait(60)

    def said(self) -> str:
        """All that any server of this home has said, in its own log and beside it."""
        logs = (self.home.home / "logs" / "system").glob("*.jsonl*")
        return "".join(p.read_text() for p in [self.home.home / "server.out", *logs] if p.exists())


def killed_at(syscall: str, nth: int, path: Path | None = None) -> list[str]:
    """The command that runs another one until its `nth` such system call (on `path`), and kills it there."""
    assert STRACE is not None
    on = ["-P", str(path)] if path else []
    rule = ["-e", f"trace={syscall}", "-e", f"inject={syscall}:signal=SIGKILL:when={nth}"]
    return [STRACE, "-f", "-qq", "-o", "/dev/null", *on, *rule]


def can_trace() -> bool:
    return _STRACE_WORKS


# ---- what is recorded


def ask(home: Freehold, query: str) -> list[Any]:
    """Look into the database, beside the server."""
    with contextlib.closing(sqlite3.connect(f"file:{home.home / 'freehold.db'}?mode=ro", uri=True)) as db:
        return db.execute(query).fetchall()


def count(home: Freehold, query: str) -> int:
    return ask(home, f"select count(*) from {query}")[0][0]


def unfinished(home: Freehold) -> int:
    return count(home, "calls where state in ('pending', 'running')")


def pids(home: Freehold, *states: str) -> dict[str, int]:
    """Processes of the instances in these states, by instance."""
    within = ", ".join(f"'{state}'" for state in states or ("idle", "busy"))
    found = ask(home, f"select id, pid from instances where state in ({within}) and pid is not null")
    return {instance: pid for instance, pid in found if alive(pid)}


def volume(home: Freehold, name: str) -> Path:
    return home.home / "volumes" / "main" / name / "files"


# ---- clients


def python(home: Freehold, text: str, *words: str, stdin: str = "") -> str:
    """Run a program as a client of this home; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", text, *words], env=home.env, input=stdin, capture_output=True, text=True, check=False, timeout=300
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


_SPAWN = """
import freehold, json, sys
from concurrent.futures import ThreadPoolExecutor
f = freehold.Function.from_name(sys.argv[1], sys.argv[2])
with ThreadPoolExecutor(int(sys.argv[3])) as threads:
    print(json.dumps([c.object_id for c in threads.map(lambda args: f.spawn(*args), json.load(sys.stdin))]))
"""
_RESULTS = """
import freehold, json, sys
def result(call):
    try: return freehold.FunctionCall.from_id(call).get(timeout=120)
    except Exception as error: return type(error).__name__
print(json.dumps([result(call) for call in json.load(sys.stdin)]))
"""


def spawn(home: Freehold, app: str, function: str, inputs: Iterable[Sequence[Any]], *, threads: int = 1) -> list[str]:
    """Spawn one call an input; return their ids, in order."""
    return json.loads(python(home, _SPAWN, app, function, str(threads), stdin=json.dumps(list(inputs))))


def results(home: Freehold, calls: Iterable[str]) -> dict[str, Any]:
    """What a client that comes later reads of these calls: a result, or the name of the error."""
    ids = list(calls)
    return dict(zip(ids, json.loads(python(home, _RESULTS, stdin=json.dumps(ids))), strict=True))


def signal_all(handles: Iterable[int], number: int) -> None:
    """Signal processes by their pidfds, as far as they are still there."""
    for handle in handles:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, number)


def handles(processes: Iterable[int]) -> list[int]:
    """Open pidfds, so that no signal meets another process that got the number meanwhile."""
    return [os.pidfd_open(pid) for pid in processes]
