"""What calls can do at run time."""

import os
import signal
from pathlib import Path

from tests.e2e.harness import Freehold, MakeHome, wait_for

PROGRAMS = Path(__file__).parent / "programs"


def test_a_spawned_map_is_whole_and_its_results_are_had_later(server: Freehold) -> None:
    done = server("run", "-q", "spawn_map.py::main", cwd=PROGRAMS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "FunctionCall 1200 10",
        "True [5, 10]",
        "1437602",
        "[11, 24] []",
        "[1, 2, 5, 10, 17]",
        "ValueError no minus one",
        "InvalidError index=2 is none of the 2 inputs of call ID: they are counted from 0",
        "InvalidError start=0 and end=5 are no range of the 2 inputs of call ID",
        "TimeoutError True",
    ]


def test_a_spawned_map_outlives_its_client_and_its_server(make_home: MakeHome) -> None:
    home = make_home()
    assert home("up", "--detach").returncode == 0
    assert home("deploy", "spawn_map.py", cwd=PROGRAMS).returncode == 0
    started = home("run", "-q", "-d", "spawn_map.py::start", "--count", "10000", cwd=PROGRAMS)
    assert started.returncode == 0, started.stderr
    call = started.stdout.split()[-1]
    os.kill(home.json("status")["pid"], signal.SIGKILL)
    assert home("up", "--detach").returncode == 0
    wait_for(lambda: home.json("call", "show", call)["call"]["state"] == "succeeded", timeout_s=60)
    shown = home.json("call", "show", call)["call"]
    assert (shown["inputs"], shown["succeeded"]) == (10_000, 10_000)
    home("down")


def test_the_graph_of_a_call_and_what_calls_say_of_themselves(server: Freehold) -> None:
    done = server("run", "-q", "call_graph.py", cwd=PROGRAMS)
    assert done.returncode == 0, done.stderr
    below = ["    call_graph.leaf SUCCESS True"] * 3
    assert done.stdout.splitlines() == [
        "63",
        "call_graph.top SUCCESS True",
        "  call_graph.leaf FAILURE True",
        "  call_graph.middle SUCCESS True",
        *below,
        "  call_graph.middle SUCCESS True",
        *below,
        "True 1 True",
        "[1, 2] [3]",
        "4",
        "OutputExpiredError True",
    ]
