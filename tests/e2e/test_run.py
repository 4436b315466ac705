"""`freehold run`: programs of every kind, their output and their exit codes."""

import json
import signal
import subprocess
import time
from pathlib import Path

from tests.e2e.harness import PROGRAMS, Freehold, wait_for


def test_an_entrypoint_runs_with_its_typed_options(server: Freehold) -> None:
    done = server("run", "hello.py", "--x", "4", "--shout")
    assert done.returncode == 0, done.stderr
    assert "RESULT 16" in done.stdout
    assert "squaring 4" in done.stdout
    assert "err 4" in done.stderr


def test_quiet_shows_only_what_the_program_writes(server: Freehold) -> None:
    done = server("run", "-q", "hello.py")
    assert sorted(done.stdout.split("\n")) == ["", "result 9", "squaring 3"]
    assert done.stderr == "err 3\n"


def test_help_shows_the_programs_own_options(server: Freehold) -> None:
    shown = server.ok("run", "hello.py", "--help")
    assert "Square a number." in shown
    assert "--x" in shown
    assert "the number." in shown
    assert "--no-shout" in shown


def test_a_wrong_option_is_a_usage_error(server: Freehold) -> None:
    done = server("run", "hello.py", "--x", "many")
    assert done.returncode == 2
    assert "--x" in done.stderr
    assert server("run", "hello.py", "--nope").returncode == 2


def test_a_function_is_run_by_name_and_its_result_printed(server: Freehold) -> None:
    assert "49" in server.ok("run", "-q", "hello.py::square", "--x", "7").split()
    assert server.ok("run", "-q", "hello.py::numbers", "--count", "4").split() == ["0", "1", "2", "3"]


def test_a_module_is_run_with_m(server: Freehold) -> None:
    assert "result 9" in server.ok("run", "-m", "hello")


def test_a_map_runs_every_input(server: Freehold) -> None:
    assert "sum 2470" in server.ok("run", "hello.py::mapped")


def test_a_class_keeps_its_state_its_parameter_and_its_hooks(server: Freehold) -> None:
    shown = server.ok("run", "-q", "counter.py")
    assert "[11, 13, 16] ['snap', 'enter']" in shown
    assert "101" in shown
    assert "leaving with 16" in shown


def test_a_failing_program_ends_with_1_and_both_tracebacks(server: Freehold) -> None:
    done = server("run", "hello.py::failing")
    assert done.returncode == 1
    assert 'hello.py", line' in done.stderr
    assert "Remote traceback" in done.stderr
    assert "ValueError: broken on purpose" in done.stderr
    assert "freehold/cli" not in done.stderr
    assert "freehold/sdk" not in done.stderr


def test_what_the_program_leaves_behind_is_gone(server: Freehold) -> None:
    server.ok("run", "-q", "hello.py")
    assert [a for a in server.json("app", "list") if a["name"] == "e2e-hello"] == []
    assert server.json("instance", "list", "--app", "e2e-hello") == []


def test_ctrl_c_cancels_what_runs_and_stops_the_app(server: Freehold, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    running = server.start("run", "slow.py::wait", "--seconds", "8", "--mark", str(mark))
    wait_for(lambda: server.json("call", "list", "--app", "e2e-slow", "--state", "running"))
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=20)
    assert running.returncode == 130, said
    assert "interrupted" in said
    wait_for(lambda: not [a for a in server.json("app", "list") if a["name"] == "e2e-slow"])
    assert [c["state"] for c in server.json("call", "list", "--app", "e2e-slow", "--limit", "1")] == ["cancelled"]
    assert not mark.exists()


def test_a_detached_app_goes_on_after_ctrl_c(server: Freehold) -> None:
    running = server.start("run", "-d", "slow.py::main", "--seconds", "60")
    wait_for(lambda: server.json("call", "list", "--app", "e2e-slow", "--state", "running"))
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=20)
    assert running.returncode == 130
    assert "the app goes on" in said
    call = server.json("call", "list", "--app", "e2e-slow", "--limit", "1")[0]
    assert call["state"] == "running"
    server.ok("app", "stop", call["app_id"], "--yes")


def test_the_result_is_written_to_a_file(server: Freehold, tmp_path: Path) -> None:
    file = tmp_path / "result"
    server.ok("run", "-q", "-w", str(file), "slow.py::wait", "--seconds", "0")
    assert file.read_text() == "waited"
    assert server("run", "-w", str(tmp_path / "no" / "file"), "slow.py::wait").returncode == 2


def test_a_detached_function_outlives_its_command(server: Freehold) -> None:
    call = server.ok("run", "-q", "-d", "slow.py::wait", "--seconds", "1").strip().splitlines()[0]
    assert call.startswith("fc-")
    assert server.json("call", "show", call)["call"]["state"] in ("pending", "running")
    wait_for(lambda: server.json("call", "show", call)["call"]["state"] == "succeeded")
    wait_for(lambda: not [a for a in server.json("app", "list") if a["name"] == "e2e-slow"])


def test_a_name_that_several_runs_share_stops_none_of_them(server: Freehold) -> None:
    for _ in range(2):
        server.ok("run", "-q", "-d", "slow.py::wait", "--seconds", "60")
    running = [a["id"] for a in server.json("app", "list") if a["name"] == "e2e-slow"]
    done = server("app", "stop", "e2e-slow", "--yes")
    assert done.returncode == 2
    assert all(app in done.stderr for app in running)
    for app in running:
        server.ok("app", "stop", app, "--yes")


def test_a_call_can_be_cancelled_from_elsewhere(server: Freehold) -> None:
    call = server.ok("run", "-q", "-d", "slow.py::wait", "--seconds", "60").strip().splitlines()[0]
    wait_for(lambda: server.json("call", "show", call)["call"]["state"] == "running")
    server.ok("call", "cancel", call)
    wait_for(lambda: server.json("call", "show", call)["call"]["state"] == "cancelled")
    again = server("call", "cancel", call)
    assert "had ended already: cancelled" in again.stdout + again.stderr


def test_a_timeout_ends_the_input_and_all_its_processes(server: Freehold) -> None:
    begun = time.monotonic()
    done = server("run", "slow.py::overdue")
    assert done.returncode == 1
    assert time.monotonic() - begun < 30
    assert "FunctionTimeoutError" in done.stderr or "timeout" in done.stderr.lower()


def test_json_listings_hold_every_field(server: Freehold) -> None:
    server.ok("run", "-q", "hello.py")
    call = server.json("call", "list", "--app", "e2e-hello", "--limit", "1")[0]
    assert call["function"] == "square"
    assert call["state"] == "succeeded"
    detail = json.loads(server.ok("call", "show", call["id"], "--json"))
    assert detail["inputs"][0]["attempt"] >= 1
    instance = server.json("instance", "show", detail["inputs"][0]["instance"])
    assert "fork" in instance["phases"]
    assert "fork" in server.ok("instance", "show", instance["id"])
    lines = server.ok("instance", "logs", instance["id"])
    assert "squaring 3" in lines


def test_a_client_elsewhere_reaches_the_server_by_its_url(server: Freehold, tmp_path: Path) -> None:
    elsewhere = server.env | {
        "FREEHOLD_HOME": str(tmp_path),
        "FREEHOLD_SERVER": server.url,
        "FREEHOLD_TOKEN": server.token,
    }
    elsewhere.pop("FREEHOLD_PORT", None)
    done = subprocess.run(
        server.command("run", "counter.py"), env=elsewhere, cwd=PROGRAMS, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "[11, 13, 16]" in done.stdout
    refused = subprocess.run(
        server.command("run", "counter.py"), env=elsewhere | {"FREEHOLD_TOKEN": "stale"}, cwd=PROGRAMS, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert refused.returncode == 5
    assert "FREEHOLD_TOKEN" in refused.stderr
