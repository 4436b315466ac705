"""The command line under the names that Modal's users know."""

import os
import signal
import subprocess
from pathlib import Path

from tests.e2e.harness import Freehold, wait_for

from freehold.protocol.version import VERSION


def test_logs_by_source_container_and_call_with_their_ids(server: Freehold) -> None:
    assert server("deploy", "chatter.py").returncode == 0
    assert "3" in server("run", "-q", "chatter.py").stdout.splitlines()
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
    assert "3" in server.lines("run", "-n", "compat-renamed", "-", stdin=(server.programs / "chatter.py").read_text())
    assert "compat-renamed" in [a["name"] for a in server.json("app", "list", "--all", "--limit", "3")]
    assert server("run", "-n", "no name", "chatter.py").returncode == 2
    assert server("run", "-", stdin="import modal").returncode == 4


def test_a_deployment_streams_its_logs(server: Freehold) -> None:
    command = server.start("deploy", "--stream-logs", "chatter.py")
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
    assert server("deploy", "chatter.py").returncode == 0
    code = "import freehold; print(freehold.Function.from_name('compat-chatter', 'talk').remote(7))"
    assert server("python", "-c", code).stdout == "7\n"
    app = next(a for a in server.json("app", "list") if a["name"] == "compat-chatter")
    (container,) = server.json("container", "list", "--app-id", app["id"])
    assert server("container", "stop", container["id"]).returncode == 2  # asks, and there is no terminal
    server.ok("container", "stop", container["id"], "-y")
    wait_for(lambda: server.json("container", "list", "--app-id", app["id"]) == [])
    assert server.json("container", "show", container["id"])["reason"] == "stopped by its user"
    server.ok("app", "stop", "compat-chatter", "--yes")


def test_images_are_listed_shown_read_and_deleted(server: Freehold) -> None:
    program = "image_cli.py"
    assert server("run", program).returncode == 0
    named = next(i for i in server.json("image", "list") if "compat-cli:v1" in i["names"])
    assert named["id"] == f"im-{named['digest'][:24]}"
    shown = server.ok("image", "show", "compat-cli:v1")
    assert "env(vars={'COMPAT': 'cli'})" in shown
    assert "==> " in server.ok("image", "logs", named["id"])
    assert server.json("image", "names", "list", "--prefix", "compat-cli") == [
        {"name": "compat-cli:v1", "id": named["id"]}
    ]
    asked = server("image", "delete", named["id"], stdin="")
    assert (asked.returncode, "--yes" in asked.stderr) == (2, True)
    server.ok("image", "delete", named["id"], "--yes")
    assert named["id"] not in [i["id"] for i in server.json("image", "list")]
    assert server("image", "show", named["id"]).returncode == 4
    assert server.ok("image", "prune", "--unused", "99d", "--yes").startswith("✓ deleted 0 images")


def test_commands_and_those_of_groups_are_completed() -> None:
    def completed(words: str, index: int) -> list[str]:
        env = os.environ | {"_FREEHOLD_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(index)}
        done = subprocess.run(Freehold.command(), env=env, capture_output=True, text=True, check=True)
        return done.stdout.split()

    assert {"run", "deploy", "shell", "image"} <= set(completed("freehold ", 1))
    assert completed("freehold container e", 2) == ["exec"]
    assert completed("freehold app list --js", 3) == ["--json"]


def test_the_script_of_completion_is_shown_and_installed(tmp_path: Path) -> None:
    # the shell is named: typer would look which one runs the tests
    env = os.environ | {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    show = Freehold.command("--show-completion", "bash")
    shown = subprocess.run(show, env=env, capture_output=True, text=True, check=True)
    assert "complete -o default -F _freehold_completion freehold" in shown.stdout
    subprocess.run(Freehold.command("--install-completion", "bash"), env=env, capture_output=True, check=True)
    assert "_FREEHOLD_COMPLETE" in (tmp_path / ".bash_completions" / "freehold.sh").read_text()


def test_the_command_in_an_instance_tells_its_version(server: Freehold) -> None:
    number, file = server.lines("run", "-q", "image_cli.py::version")
    assert number.startswith(f"freehold {VERSION} (Python 3.")
    assert file.endswith(".py")
