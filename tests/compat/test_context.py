"""`is_local`, the current call and input, `Retries` and `Error`."""

from tests.e2e.harness import Freehold

PROGRAM = "context.py"


def test_code_knows_where_it_runs_and_is_tried_again(server: Freehold) -> None:
    shown = server.ok("run", "-q", PROGRAM)
    lines = [line for line in shown.splitlines() if not line.startswith(("Traceback", " "))]
    assert lines == [
        "True None None",
        "False True True",
        "im- in- local main 1 local interrupted",
        "2 0.2",
        "attempts: 3 of calls: 1",
        "caught nothing",
    ]


def test_retries_of_a_class_are_for_its_methods(server: Freehold) -> None:
    shown = server.ok("run", "-q", "class_retries.py")
    lines = [line for line in shown.splitlines() if not line.startswith(("Traceback", " ", "ValueError"))]
    assert lines == ["3", "item 4", "raised after 4", "CancelledError True"]
