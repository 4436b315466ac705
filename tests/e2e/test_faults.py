"""What goes wrong is told in one message with its fix, ends with its code, and leaves nothing half done."""

import json
import os
import signal
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.e2e.harness import PROGRAMS, Freehold, MakeHome


def refused(server: Freehold, *words: str, code: int) -> str:
    """Run what has to fail; return what it says."""
    before = {a["id"] for a in server.json("app", "list")}
    done = server(*words)
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert {a["id"] for a in server.json("app", "list")} == before
    assert "/freehold/cli/" not in said
    return said


def read_until(process: "subprocess.Popen[str]", text: str) -> str:
    """What a command writes, up to the line with this text."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if text in line:
            return said
    raise AssertionError(said)


def test_a_syntax_error_is_shown_as_python_shows_it(server: Freehold) -> None:
    said = refused(server, "run", "syntax_error.py", code=1)
    assert "SyntaxError" in said
    assert "def broken(:" in said
    assert "syntax_error.py" in said


def test_a_missing_module_is_named_with_the_fix(server: Freehold) -> None:
    said = refused(server, "deploy", "missing_module.py", code=1)
    assert "no_such_module_anywhere" in said
    assert "image.imports()" in said


def test_a_module_that_only_the_instance_lacks_comes_with_its_remote_traceback(server: Freehold) -> None:
    said = refused(server, "run", "remote_missing_module.py", code=1)
    assert "No module named 'no_such_module_anywhere'" in said
    assert "/root/remote_missing_module.py" in said


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("needs.py", ["H100"]),
        ("needs_package.py", ["no-such-package-anywhere", "--missing-apt warn"]),
    ],
)
def test_what_the_machine_lacks_is_said_before_anything_runs(server: Freehold, program: str, words: list[str]) -> None:
    done = server("deploy", program)
    said = done.stdout + done.stderr
    assert done.returncode in (1, 2, 7), said
    for word in words:
        assert word in said
    assert not [a for a in server.json("app", "list") if a["name"].startswith("e2e-needs")]


def test_more_memory_than_there_is_runs_with_what_there_is(server: Freehold) -> None:
    done = server("run", "needs_memory.py")
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert "warning: function 'big': memory=100000000 MiB is more than this machine's" in done.stderr


def test_a_file_or_a_name_that_is_not_there(server: Freehold) -> None:
    assert "nowhere.py" in refused(server, "run", "nowhere.py", code=4)
    said = refused(server, "run", "hello.py::nothing", code=4)
    assert "square" in said  # what there is instead
    assert "e2e-nobody" in refused(server, "app", "logs", "e2e-nobody", code=4)
    assert refused(server, "call", "show", "fc-000000000000000000000000000000", code=4)
    assert refused(server, "instance", "stop", "in-000000000000000000000000000000", code=4)
    assert refused(server, "volume", "ls", "e2e-nothing", code=4)


def test_two_ups_in_one_home(server: Freehold) -> None:
    said = refused(server, "up", "--detach", code=6)
    assert str(server.home) in said
    assert "freehold down" in said


def test_a_port_in_use_is_named(make_home: MakeHome) -> None:
    home = make_home()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", home.port))
        taken.listen()
        for words in (["up", "--detach"], ["up"]):
            done = home(*words)
            assert done.returncode not in (0, 1), done.stderr
            assert str(home.port) in done.stderr
            assert "--port" in done.stderr
            assert "Traceback" not in done.stderr
    assert home("status").returncode == 3


def test_a_wide_bind_has_to_be_asked_for(make_home: MakeHome) -> None:
    home = make_home()
    done = home("up", "--detach", "--host", "0.0.0.0")
    assert done.returncode == 2
    assert "--allow-remote" in done.stderr
    assert not home.home.joinpath("server.json").exists()


def test_no_server_no_answer(make_home: MakeHome) -> None:
    home = make_home()
    for words in (["status"], ["app", "list"], ["run", "hello.py"], ["deploy", "hello.py"], ["secret", "list"]):
        done = home(*words)
        assert done.returncode == 3, done.stderr
        assert "freehold up" in done.stderr
    assert home("down").returncode == 0


def test_a_stale_token_is_an_auth_error(server: Freehold) -> None:
    stale = Freehold(server.home, server.port, (("FREEHOLD_TOKEN", "stale"),))
    for words in (["app", "list"], ["run", "hello.py"]):
        done = stale(*words)
        assert done.returncode == 5, done.stderr
        assert "FREEHOLD_TOKEN" in done.stderr


def test_a_client_elsewhere_uses_the_url_and_the_token(server: Freehold, make_home: MakeHome) -> None:
    home = make_home()
    remote = Freehold(home.home, home.port, (("FREEHOLD_SERVER", server.url), ("FREEHOLD_TOKEN", server.token)))
    assert remote.json("status")["pid"] == server.json("status")["pid"]
    assert "result 9" in remote.ok("run", "-q", "hello.py")


def test_a_server_of_another_version_is_refused_with_the_fix(server: Freehold, tmp_path: Path) -> None:
    # another protocol number in the client, as an older or newer release would have it
    (tmp_path / "sitecustomize.py").write_text("import freehold.protocol.version as v\nv.PROTOCOL_VERSION = 999\n")
    other = Freehold(server.home, server.port, (("PYTHONPATH", str(tmp_path)),))
    for words in (["app", "list"], ["run", "hello.py"]):
        done = other(*words)
        assert done.returncode == 3, done.stderr
        assert "999" in done.stderr
        assert "freehold down" in done.stderr


def test_a_wrong_setting_names_itself_and_where_it_comes_from(make_home: MakeHome) -> None:
    home = make_home(FREEHOLD_LEASE_S="soon")
    done = home("up", "--detach")
    assert done.returncode == 2
    assert "lease_s" in done.stderr
    assert "FREEHOLD_LEASE_S" in done.stderr
    unknown = make_home(FREEHOLD_NO_SUCH="1")("config", "show")
    assert unknown.returncode == 2
    assert "FREEHOLD_NO_SUCH" in unknown.stderr


@pytest.mark.parametrize("how", [("up",), ("up", "--detach")])
def test_a_home_that_cannot_be_made_is_named_with_the_fix(how: tuple[str, ...], make_home: MakeHome) -> None:
    done = replace(make_home(), home=Path("/proc/no-home"))(*how)
    assert done.returncode == 2
    assert "/proc/no-home" in done.stderr
    assert "set FREEHOLD_HOME" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_was_killed_leaves_nothing_in_the_way(make_home: MakeHome) -> None:
    home = make_home()
    home.ok("up", "--detach")
    pid = home.json("status")["pid"]
    os.kill(pid, signal.SIGKILL)
    home.ok("up", "--detach")
    assert home.json("status")["pid"] != pid
    home.ok("down")
    assert not home.home.joinpath("server.json").exists()


def test_a_run_tells_that_its_server_left_and_goes_on_with_the_next(make_home: MakeHome) -> None:
    home = make_home()
    home.ok("up", "--detach")
    running = home.start("run", "slow.py::wait", "--seconds", "3")
    said = read_until(running, "begun")
    os.kill(home.json("status")["pid"], signal.SIGKILL)
    said += read_until(running, "the server has left")
    home.ok("up", "--detach")
    said += running.communicate(timeout=60)[0]
    assert running.returncode == 0
    assert "the server is back" in said
    assert said.count("begun") == 2  # the input ran again, and what it printed came
    home.ok("down")


def test_a_server_whose_file_was_lost_is_still_found_and_ended(make_home: MakeHome) -> None:
    home = make_home()
    home.ok("up", "--detach")
    home.home.joinpath("server.json").unlink()
    refused = home("up", "--detach")
    assert refused.returncode == 6
    assert "starts or ends" in refused.stderr
    assert "stopped" in home.ok("down")
    home.ok("up", "--detach")
    home.ok("down")


def test_deployed_apps_come_back_with_the_server(make_home: MakeHome) -> None:
    home = make_home()
    home.ok("up", "--detach")
    home.ok("deploy", "hello.py")
    home.ok("down")
    home.ok("up", "--detach")
    assert [a["name"] for a in home.json("app", "list")] == ["e2e-hello"]
    home.ok("down")


def test_settings_are_shown_with_their_source(make_home: MakeHome) -> None:
    home = make_home(FREEHOLD_LEASE_S="7")
    (home.home / "freehold.toml").write_text("log_files_kept = 3\n")
    shown = {s["name"]: s for s in home.json("config", "show")}
    assert (shown["lease_s"]["value"], "FREEHOLD_LEASE_S" in shown["lease_s"]["from"]) == (7.0, True)
    assert (shown["log_files_kept"]["value"], "freehold.toml" in shown["log_files_kept"]["from"]) == (3, True)
    assert shown["host"]["from"] == "the default"


def test_doctor_checks_the_machine(server: Freehold) -> None:
    done = server("doctor", "--json")
    found = {f["check"]: f for f in json.loads(done.stdout)}
    assert {"python", "sqlite", "uv", "bubblewrap", "cgroups", "shared memory", "disk", "gpu", "server"} <= set(found)
    assert found["server"]["verdict"] == "ok"
    assert all(f["fix"] for f in found.values() if f["verdict"] != "ok")


def test_help_is_quick_and_has_every_command(server: Freehold) -> None:
    shown = server.ok("--help")
    for name in (
        "up",
        "down",
        "status",
        "run",
        "deploy",
        "serve",
        "app",
        "instance",
        "call",
        "secret",
        "volume",
        "config",
        "doctor",
    ):
        assert f" {name} " in shown
    assert server.ok("--version").startswith("freehold ")
    assert server("aap", "list").returncode == 2
    assert "Example" in server.ok("app", "logs", "--help")
    assert PROGRAMS.is_dir()
