"""`freehold shell` and `container exec`, over pipes and at a terminal."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.harness import Freehold, wait_for
from tests.e2e.terminal import Terminal

SHELL = "shell.py"


pytestmark = pytest.mark.usefixtures("jailed")


@pytest.fixture
def sandbox(server: Freehold) -> Iterator[str]:
    holder = subprocess.Popen(
        server.command("python", "shell_held.py"), env=server.env, cwd=server.programs, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    yield holder.stdout.readline().strip()
    _, told = holder.communicate(timeout=30)
    assert "Sandbox.create: cpu=3000 is more than this machine's" in told
    assert "shell_held.py:8: " in told  # the line of the program


def test_a_command_has_what_the_function_has_and_stdout_for_itself(server: Freehold) -> None:
    script = (
        "echo $OF_IMAGE $OF_SECRET $OF_FUNCTION; pwd; ls /root/shell.py; echo kept > /data/note; echo oops >&2; exit 5"
    )
    done = server("shell", f"{SHELL}::plain", "-c", f"sh -c '{script}'")
    assert (done.returncode, done.stdout) == (5, "yes hush f\n/root\n/root/shell.py\n"), done.stderr
    assert done.stderr.splitlines()[-1] == "oops"
    assert server.ok("volume", "get", "compat-shell", "note", "-") == "kept\n"


def test_the_program_can_be_imported_in_the_shell(server: Freehold) -> None:
    done = server(
        "shell", f"{SHELL}::plain", "-c", "python -c 'import shell, modal; print(shell.app.name, modal.__name__)'"
    )
    assert (done.returncode, done.stdout) == (0, "compat-shell modal\n"), done.stderr


def test_uv_lists_what_the_image_holds(server: Freehold) -> None:
    done = server("shell", f"{SHELL}::Thing", "-c", "uv pip list")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Package ")
    assert "cloudpickle" in done.stdout


def test_a_shell_reads_from_a_pipe(server: Freehold) -> None:
    done = server("shell", f"{SHELL}::Thing.two", stdin="echo $0\necho 1 2 | wc -w\nexit 3\n")
    assert (done.returncode, done.stdout) == (3, "/bin/bash\n2\n"), done.stderr


def test_which_function_is_meant(server: Freehold) -> None:
    several = server("shell", SHELL)
    assert (several.returncode, "name one" in several.stderr) == (2, True)
    assert server("shell", f"{SHELL}::Thing", "-c", "true").returncode == 0
    unknown = server("shell", f"{SHELL}::Thing.three", "-c", "true")
    assert (unknown.returncode, "Thing.t" in unknown.stderr) == (4, True)
    both = server("shell", SHELL, "--cpu", "2", "--volume", "v")
    assert (both.returncode, "--volume, --cpu" in both.stderr) == (2, True)


def test_a_shell_of_options(server: Freehold, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("here\n")
    server.ok("secret", "create", "compat-shell", "WORD=told", "--force")
    done = server(
        "shell", "--secret", "compat-shell", "--add-local", str(tmp_path / "note.txt"), "--add-local", str(tmp_path), "--cpu", "1", "-c",
        f"sh -c 'echo $WORD; cat /mnt/note.txt /mnt/{tmp_path.name}/note.txt'",
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "told\nhere\nhere\n"), done.stderr
    assert server("shell", "--volume", "compat-no-such", "-c", "true").returncode == 4
    server.ok("secret", "delete", "compat-shell", "--yes")
    assert server("shell", "-c", "no-such-program").returncode == 127
    assert server("shell", "-c", "echo 'open").returncode == 2


def test_a_shell_at_a_terminal(server: Freehold) -> None:
    terminal = Terminal(server, "shell", f"{SHELL}::plain")
    terminal.until("# ")
    terminal.type("stty size; tty; echo $OF_FUNCTION$((6*7))\r")
    terminal.until("f42")
    assert "31 97" in terminal.shown
    assert "/dev/pts/" in terminal.shown
    terminal.type(
        "sh -c \"echo be''gun; exec sleep 60\"\r"
    )  # said by what Ctrl-C is to end: before it runs the shell may take it
    terminal.until("begun")
    terminal.type("\x03")  # is for what runs there, and the shell goes on
    terminal.type("echo $((7*9)); exit 6\r")
    terminal.until("63\r\n")
    assert terminal.end() == 6


def test_a_shell_that_is_ended_leaves_nothing(server: Freehold) -> None:
    command = server.start("shell", f"{SHELL}::plain", "-c", "sh -c 'echo up; sleep 60'")
    assert command.stdout is not None
    assert any(line == "up\n" for line in iter(command.stdout.readline, ""))
    command.send_signal(signal.SIGINT)
    command.communicate(timeout=20)
    assert command.returncode == 130
    wait_for(lambda: not any(a["name"] == "compat-shell" for a in server.json("app", "list")))


def test_commands_in_a_sandbox_that_runs(server: Freehold, sandbox: str) -> None:
    done = server("container", "exec", sandbox, "sh", "-c", "cat; echo err >&2; exit 9", stdin="typed")
    assert (done.returncode, done.stdout, done.stderr) == (9, "typed", "err\n")
    assert (
        server.ok("container", "exec", "--pty", sandbox, "sh", "-c", "test -t 1 && echo a terminal") == "a terminal\n"
    )
    assert server.ok("shell", sandbox, "-c", "echo again") == "again\n"
    assert server.ok("container", "exec", sandbox, "--", "ls", "-d", "/root") == "/root\n"


def test_sandboxes_are_containers(server: Freehold, sandbox: str) -> None:
    (listed,) = [c for c in server.json("container", "list") if c["id"] == sandbox]
    assert (listed["app"], listed["function"], listed["state"]) == ("compat-shell-held", None, "running")
    assert (listed["name"], listed["tags"]) == ("held", {"kind": "test"})
    assert server("container", "stop", sandbox, "--graceful", "-y").returncode == 2
    wait_for(lambda: "words of its own" in server.ok("container", "logs", sandbox))
    server.ok("container", "stop", sandbox, "--yes")
    assert server.json("container", "show", sandbox)["state"] == "terminated"
    assert server("container", "exec", sandbox, "ls").returncode == 6
    assert server("container", "exec", "sb-01a1fdbf16e7ac2d9ab87dac24c9", "ls").returncode == 4
    assert server("container", "stop", "sb-01a1fdbf16e7ac2d9ab87dac24c9", "-y").returncode == 4
