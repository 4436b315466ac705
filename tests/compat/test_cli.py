"""The command line under the names that Modal's users know."""

import signal
from pathlib import Path

from tests.e2e.harness import Freehold, wait_for

PROGRAMS = Path(__file__).parent / "programs"


def test_logs_by_source_container_and_call_with_their_ids(server: Freehold) -> None:
    assert server("deploy", "chatter.py", cwd=PROGRAMS).returncode == 0
    assert "3" in server("run", "-q", "chatter.py", cwd=PROGRAMS).stdout.splitlines()
    ran = next(
        a for a in server.json("app", "list", "--all") if a["name"] == "compat-chatter" and a["state"] == "stopped"
    )
    errors = server.ok("app", "logs", ran["id"], "--source", "stderr")
    assert sorted(errors.splitlines()) == ["err 0", "err 1", "err 2"]
    line = server.ok(
        "app",
        "logs",
        ran["id"],
        "-s",
        "stdout",
        "--tail",
        "1",
        "--show-container-id",
        "--show-function-id",
        "--show-function-call-id",
    )
    function, call, container, *text = line.split()
    assert (function, text[0]) == ("talk", "out")
    assert server.ok("container", "logs", container, "-s", "stderr").startswith("err ")
    assert "out" in server.ok("app", "logs", ran["id"], "--function-call", call, "--container", container)
    wrong = server("app", "logs", ran["id"], "--source", "out")
    assert (wrong.returncode, "none of stdout, stderr and system" in wrong.stderr) == (2, True)
    server.ok("app", "stop", "compat-chatter", "--yes")


def test_a_program_from_stdin_under_another_name(server: Freehold) -> None:
    done = server("run", "-n", "compat-renamed", "-", stdin=(PROGRAMS / "chatter.py").read_text())
    assert done.returncode == 0, done.stderr
    assert "3" in done.stdout.splitlines()
    assert "compat-renamed" in [a["name"] for a in server.json("app", "list", "--all", "--limit", "3")]
    assert server("run", "-n", "no name", "chatter.py", cwd=PROGRAMS).returncode == 2
    assert server("run", "-", stdin="import modal").returncode == 4


def test_a_deployment_streams_its_logs(server: Freehold) -> None:
    command = server.start("deploy", "--stream-logs", str(PROGRAMS / "chatter.py"))
    try:
        wait_for(lambda: any(a["name"] == "compat-chatter" for a in server.json("app", "list")))
        code = "import freehold; freehold.Function.from_name('compat-chatter', 'talk').remote(7)"
        assert server("python", "-c", code).returncode == 0
        assert command.stdout is not None
        lines = iter(command.stdout.readline, "")
        assert any("out 7" in line for line in lines)
    finally:
        command.send_signal(signal.SIGINT)
        command.communicate(timeout=10)
        assert command.returncode == 0
        server.ok("app", "stop", "compat-chatter", "--yes")


def test_containers_are_listed_and_stopped(server: Freehold) -> None:
    assert server("deploy", "chatter.py", cwd=PROGRAMS).returncode == 0
    code = "import freehold; print(freehold.Function.from_name('compat-chatter', 'talk').remote(7))"
    assert server("python", "-c", code).stdout == "7\n"
    app = next(a for a in server.json("app", "list") if a["name"] == "compat-chatter")
    (container,) = server.json("container", "list", "--app-id", app["id"])
    assert server("container", "stop", container["id"]).returncode == 2  # asks, and there is no terminal
    server.ok("container", "stop", container["id"], "-y")
    wait_for(lambda: server.json("container", "list", "--app-id", app["id"]) == [])
    assert server.json("container", "show", container["id"])["reason"] == "stopped by its user"
    server.ok("app", "stop", "compat-chatter", "--yes")
