"""What calls can do at run time."""

import os
import signal

from tests.e2e.harness import Freehold, MakeHome, wait_for


def test_a_spawned_map_is_whole_and_its_results_are_had_later(server: Freehold) -> None:
    assert server.lines("run", "-q", "spawn_map.py::main") == [
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
    assert home("deploy", "spawn_map.py").returncode == 0
    started = home("run", "-q", "-d", "spawn_map.py::start", "--count", "10000")
    assert started.returncode == 0, started.stderr
    call = started.stdout.split()[-1]
    os.kill(home.json("status")["pid"], signal.SIGKILL)
    assert home("up", "--detach").returncode == 0
    wait_for(lambda: home.json("call", "show", call)["call"]["state"] == "succeeded", timeout_s=60)
    shown = home.json("call", "show", call)["call"]
    assert (shown["inputs"], shown["succeeded"]) == (10_000, 10_000)
    home("down")


def test_the_graph_of_a_call_and_what_calls_say_of_themselves(server: Freehold) -> None:
    below = ["    call_graph.leaf SUCCESS True"] * 3
    assert server.lines("run", "-q", "call_graph.py") == [
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
