"""Sandboxes as programs use them."""

import json
import os
import shutil
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.harness import Freehold, MakeHome, wait_for

from freehold.core.home import Home

pytestmark = pytest.mark.usefixtures("jailed")


def _ask(server: Freehold, path: str) -> Any:
    request = urllib.request.Request(f"{server.url}{path}", headers={"Authorization": f"Bearer {server.token}"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def basics(server: Freehold, jailed: None) -> list[str]:
    """What the program of that name says, run once."""
    return server.lines("python", "sandbox_basics.py")


def test_a_sandbox_runs_its_command_and_says_how_it_ended(basics: list[str]) -> None:
    assert basics == [
        r"OUT 'hello world\n' 'oh\n' 3 3",
        "AGAIN 3 True",
        r"LINE 'got Ada\n'",
        r"REST ['more\n', 'lines'] 0",
        "POLL None None",
        "TERMINATED 137 True",
        "WAITED 137",
        "TIMED OUT 124 True",
        "MISSING 127 cannot run 'no-such-program': No such file or directory",
    ]


def test_what_a_sandbox_writes_is_in_its_apps_logs_and_it_is_on_record(server: Freehold, basics: list[str]) -> None:
    assert basics
    assert "hello world" in server.ok("app", "logs", "compat-sandbox-basics")
    views = _ask(server, "/v1/sandboxes?app=compat-sandbox-basics&live_only=false")
    assert {(v["state"], v["returncode"]) for v in views} == {
        ("exited", 3), ("exited", 0), ("terminated", 137), ("timed_out", 124), ("exited", 127),
    }  # fmt: skip
    assert _ask(server, "/v1/sandboxes?app=compat-sandbox-basics") == []


def test_files_are_opened_as_earlier_programs_do_it(server: Freehold) -> None:
    done = server("python", "sandbox_open.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "WRITTEN ['first', 'second']",
        r"READ 'first\n' sec ['third\n', 'last\n']",
        r"BYTES b'FIRST\n' [6, 7, 6, 5]",
        "ASYNC later",
        "LEFT ['deep', 'empty', 'one.txt']",
        "SandboxFilesystemNotFoundError '/work/none': No such file or directory",
        "SandboxFilesystemPathAlreadyExistsError '/work/empty': File exists",
        """InvalidError Sandbox.open('/work/empty', 'rw'): a mode is "r", "w", "a" or "x", with "b" for bytes and "+" for both ways""",
        "WRONG the sandbox's file '/work/one.txt', opened with 'r', is open for reading alone",
        "WRONG the sandbox's file '/work/one.txt', opened with 'wb', takes bytes, not str",
        "WRONG the sandbox's file '/work/one.txt', opened with 'r', is closed",
    ]
    for new in ("read_text, write_text", "list_files", "make_directory", "with remove"):
        assert f"is now Sandbox.filesystem with {new.removeprefix('with ')}" in done.stderr, new


def test_commands_stream_take_input_and_end(server: Freehold) -> None:
    assert server.lines("python", "sandbox_exec.py") == [
        "KINDS True True True",
        r"LINES ['line 1\n', 'line 2\n', 'line 3\n'] True",
        r"CODE 4 4 4 'warned\n'",
        "WHERE /work /tmp",
        "ENV red s3cret x",
        "SECRET 1",
        "POLL None",
        r"CAT 'abc\ndef' 0",
        "CLOSED Stdin is closed. Cannot write to it.",
        r"BYTES b'\xff\x00x'",
        r"BY LINE ['one\n', 'two\n']",
        r"TTY '/dev/pts/0\r\n24 80\r\n'",
        "NO TTY 1",
        "TIME -1 True",
        "printed at once",
        "QUIET 0",
        "KILLED 137 127 126",
        "BIG 30000000",
        "ENDED True",
    ]


def test_everything_has_an_awaitable_twin(server: Freehold) -> None:
    assert server.lines("python", "sandbox_async.py") == [
        "ALL 24",
        r"KEPT 'late\n'",
        "FILE hi",
        "LISTED [True]",
        "END 137",
    ]


def test_files_are_read_written_listed_and_watched(server: Freehold) -> None:
    assert server.lines("python", "sandbox_files.py") == [
        "GIVEN given",
        "OWN changed given",
        "BIG True 10000000",
        "COPIED given",
        "LIST [('copied.txt', 'file', False), ('deep', 'directory', True), ('empty', 'directory', True), ('link', 'symlink', False)]",
        "STAT True /etc/passwd l root",
        "NOT FOUND SandboxFilesystemNotFoundError",
        "DIRECTORY SandboxFilesystemIsADirectoryError",
        "NOT A DIRECTORY SandboxFilesystemNotADirectoryError",
        "BENEATH A FILE SandboxFilesystemNotADirectoryError",
        "NOT EMPTY SandboxFilesystemDirectoryNotEmptyError",
        "THERE SandboxFilesystemPathAlreadyExistsError",
        "READ ONLY SandboxFilesystemPermissionError",
        "RELATIVE InvalidError",
        "LEFT ['copied.txt', 'link'] ['copied.txt', 'link']",
        "SEEN True True True ('Remove', ['/work/new/moved'])",
    ]


def test_names_tags_idleness_and_readiness(server: Freehold) -> None:
    assert server.lines("python", "sandbox_names.py") == [
        "TAKEN True",
        "BY NAME True",
        "TAGGED 2 1",
        "TAGS {'job': 'b'} 1",
        "GONE True",
        "ENDED 137",
        "LISTED []",
        "IDLE 137 True",
        "READY 0",
        "DETACHED 137",
        "NEVER READY",
    ]


def test_networks_are_closed_listed_or_tunnelled(server: Freehold) -> None:
    assert server.lines("python", "sandbox_network.py") == [
        "BLOCKED True",
        "INTERFACES [(1, 'lo')]",
        "PAST THE LIST True",
        "THROUGH THE PROXY b'secret'",
        "TUNNEL 200 True True",
        "DENIED True True",
        "OPEN False",
        "PORTS InvalidError",
        "NETWORK InvalidError",
        "DOMAIN InvalidError",
        "PROXY UnimplementedError",
        "GPUS InvalidError",
        "TYPO InvalidError",
    ]


@pytest.mark.skipif(shutil.which("slirp4netns") is None, reason="no slirp4netns here (apt-get install slirp4netns)")
def test_each_sandbox_has_its_ports_to_itself_and_not_the_machines_loopback(server: Freehold) -> None:
    address = _own_address()
    assert server.lines("python", "sandbox_ports.py", str(server.port), address or "none") == [
        "ANSWER one True",
        "ANSWER two True",
        "NOT ON THE MACHINE",
        f"REACHED {['nothing'] * 3 + (['hello'] if address else [])}",
        "RESOLVER nameserver 10.0.2.3",
    ]


@pytest.fixture
def without_slirp(make_home: MakeHome, tmp_path: Path) -> Iterator[Freehold]:
    """A server that finds no slirp4netns."""
    path: list[str] = []
    for number, folder in enumerate(os.environ["PATH"].split(os.pathsep)):
        if Path(folder, "slirp4netns").exists():
            (links := tmp_path / str(number)).mkdir()
            for tool in Path(folder).iterdir():
                if tool.name != "slirp4netns":
                    (links / tool.name).symlink_to(tool)
            path.append(str(links))
        else:
            path.append(folder)
    one = make_home(PATH=os.pathsep.join(path))
    one.ok("up", "--detach")
    yield one
    one.ok("down")


def test_without_slirp4netns_a_port_is_one_sandboxs_and_no_tunnel_leads_elsewhere(without_slirp: Freehold) -> None:
    assert without_slirp.lines("python", "sandbox_shared_ports.py") == [
        "SECOND True True",
        "ANOTHER'S hung up",
        "HELD True True",
        "ITS OWN mine",
        "AGAIN none",
    ]


def _own_address() -> str | None:
    """An address of this machine that is not on its loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # sends nothing
        except OSError:
            return None
        return probe.getsockname()[0]


def test_a_snapshot_is_an_image_of_sandboxes_and_functions(server: Freehold) -> None:
    assert server.lines("python", "sandbox_snapshot.py") == [
        "FILE kept ['kept.txt']",
        "MODULE 42",
        "SYSTEM tool True",
        "THIRD ['second.txt'] tool",
        "FUNCTION ('kept', 42, 'tool\\n', False)",
    ]


def test_a_function_makes_sandboxes_and_they_end_with_its_app(server: Freehold) -> None:
    done = server("run", "-q", "sandbox_function.py")
    assert done.returncode == 0, done.stderr
    assert "SOLVED ('42\\n', 0)" in done.stdout
    assert "VOLUME from inside" in done.stdout
    assert "PART part" in done.stdout
    left = done.stdout.split("LEFT ")[1].strip()
    wait_for(lambda: _ask(server, f"/v1/sandboxes/{left}")["state"] == "terminated")
    assert "app was stopped" in _ask(server, f"/v1/sandboxes/{left}")["reason"]


def test_nothing_of_an_ended_sandbox_is_left(server: Freehold, basics: list[str]) -> None:
    assert basics
    home = Home(server.home)
    left = [p.name for p in home.sandboxes.iterdir() if p.name.startswith("sb-")]
    assert left == [], left
    assert not list((home.run / "sb").glob("*"))


def test_functions_make_apps_for_their_sandboxes_and_deploy_none(server: Freehold) -> None:
    first, second = server.lines("run", "lookup_inside.py")
    assert first == "{'a': 1}"
    assert "an instance may make an app without functions" in second
    server.ok("app", "stop", "compat-pool-of-sandboxes", "--yes")
