"""`container exec` and `freehold shell` into instances of functions: what a command there has, and when it ends."""

import signal
import subprocess
import time
from collections.abc import Iterator

import psutil
import pytest
from tests.e2e.harness import Freehold, wait_for
from tests.e2e.terminal import Terminal

MARK = "7331.5"


@pytest.fixture(scope="module")
def containers(server: Freehold) -> Iterator[dict[str, str]]:
    """Ids of the instances that run, by the name of their function."""
    assert server("deploy", "entered.py").returncode == 0
    wait_for(lambda: set(_running(server)) == {"Plain", "apart"})
    yield _running(server)
    server.ok("app", "stop", "compat-entered", "--yes")


def _running(server: Freehold) -> dict[str, str]:
    listed = server.json("container", "list", "--app", "compat-entered")
    return {c["function"]: c["id"] for c in listed if c["state"] in ("idle", "busy")}


def _sleeping() -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if MARK in (p.info["cmdline"] or [])]


def test_a_command_has_what_the_instance_has(server: Freehold, containers: dict[str, str]) -> None:
    plain = containers["Plain"]
    script = "cat; echo $OF_IMAGE $OF_FUNCTION $OF_SECRET $MODAL_TASK_ID; pwd; cat /tmp/note; echo err >&2; exit 9"
    done = server("container", "exec", plain, "sh", "-c", script, stdin="typed\n")
    assert (done.returncode, done.stderr) == (9, "err\n")
    assert done.stdout.splitlines() == ["typed", f"yes f hush {plain}", "/root", "by the instance"]
    assert server.ok("container", "exec", plain, "--", "python", "-c", "import entered; print(entered.app.name)") == (
        "compat-entered\n"
    )


def test_a_command_is_in_the_network_and_among_the_processes_of_the_instance(
    server: Freehold, containers: dict[str, str]
) -> None:
    apart = containers["apart"]
    reach = f"import socket; socket.create_connection(('127.0.0.1', {server.port}))"
    assert "refused" in server("container", "exec", apart, "python", "-c", reach).stderr
    assert server("container", "exec", containers["Plain"], "python", "-c", reach).returncode == 0
    if "ok" in str(server.json("status")["guards"].get("pid_namespace")):
        seen = server.ok("container", "exec", apart, "sh", "-c", "ls -d /proc/[0-9]* | wc -l")
        assert int(seen) < 10


def test_a_command_that_is_not_there(server: Freehold, containers: dict[str, str]) -> None:
    done = server("container", "exec", containers["Plain"], "no-such-program")
    assert (done.returncode, "cannot run 'no-such-program': No such file" in done.stderr) == (127, True)


def test_a_wedged_instance_can_be_entered(server: Freehold, containers: dict[str, str]) -> None:
    code = "import modal; modal.Cls.from_name('compat-entered', 'Plain')().never.spawn()"
    assert server("python", "-c", code).returncode == 0
    wait_for(lambda: any(c["state"] == "busy" for c in server.json("container", "list", "--app", "compat-entered")))
    assert server.ok("shell", containers["Plain"], "-c", "echo in") == "in\n"


def test_a_terminal_in_an_instance(server: Freehold, containers: dict[str, str]) -> None:
    terminal = Terminal(server, "shell", containers["Plain"])
    terminal.until("# ")
    terminal.type("stty size; echo $OF_FUNCTION$((6*7))\r")
    terminal.until("f42")
    assert "31 97" in terminal.shown
    terminal.type(f"sleep {MARK}\r")
    wait_for(lambda: len(_sleeping()) == 1)
    terminal.type("\x03")  # is for what runs there, and the shell goes on
    terminal.type("echo $((7*9)); exit 6\r")
    terminal.until("63\r\n")
    assert terminal.end() == 6
    assert _sleeping() == []


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGKILL])
def test_a_command_ends_with_its_caller(server: Freehold, containers: dict[str, str], way: signal.Signals) -> None:
    words = ("container", "exec", containers["Plain"], "sh", "-c", f"trap '' HUP; sleep {MARK}; sleep {MARK}")
    command = server.start(*words)
    wait_for(lambda: len(_sleeping()) == 1)
    command.send_signal(way)
    command.communicate(timeout=10)
    assert command.returncode == (130 if way is signal.SIGINT else -signal.SIGKILL)
    wait_for(lambda: _sleeping() == [], timeout_s=15)


def test_a_command_goes_on_while_its_caller_waits(server: Freehold, containers: dict[str, str]) -> None:
    """Its streams have ended long before it does."""
    begun = time.monotonic()
    script = "exec >/dev/null 2>&1 </dev/null; sleep 6; exit 5"
    assert server("container", "exec", containers["apart"], "sh", "-c", script).returncode == 5
    assert time.monotonic() - begun > 6


def test_a_command_ends_with_its_instance(server: Freehold, containers: dict[str, str]) -> None:
    words = ("container", "exec", containers["apart"], "sh", "-c", f"setsid sleep {MARK} & sleep {MARK}")
    command = subprocess.Popen(server.command(*words), env=server.env, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(_sleeping()) == 2)
    server.ok("container", "stop", containers["apart"], "--yes")
    _, told = command.communicate(timeout=20)
    assert (command.returncode, told) == (137, f"{containers['apart']} has ended: stopped by its user\n")
    wait_for(lambda: _sleeping() == [])
    over = server("container", "exec", containers["apart"], "ls")
    assert (over.returncode, "has ended (stopped by its user)" in over.stderr) == (6, True)


def test_what_is_no_container_cannot_be_entered(server: Freehold) -> None:
    assert server("container", "exec", "in-01a1fdbf16e7ac2d9ab87dac24c9", "ls").returncode == 4
    assert server("container", "exec", "nonsense", "ls").returncode == 2
    assert server("shell", "in-01a1fdbf16e7ac2d9ab87dac24c9").returncode == 4


def test_an_instance_enters_no_other(server: Freehold, containers: dict[str, str]) -> None:
    inside = (
        "import os; from freehold.sdk.config import discover; from freehold.sdk.http import Api\n"
        "try: Api(discover()).act('POST', f'/v1/instances/{os.environ[\"MODAL_TASK_ID\"]}/commands', {'argv': ['ls']})\n"
        "except Exception as error: print(type(error).__name__)"
    )
    assert server.ok("container", "exec", containers["Plain"], "python", "-c", inside) == "PermissionDeniedError\n"
