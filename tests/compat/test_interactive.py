"""Breakpoints and input in instances, at the caller's terminal; and local ones under `freehold run`."""

from tests.e2e.harness import Freehold

PROGRAM = "interactive.py"


def test_a_breakpoint_in_an_instance_is_worked_at_from_here(server: Freehold) -> None:
    done = server("run", "-i", f"{PROGRAM}::stops", stdin="p x + 22\n!y = 100\nc\n")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.endswith(("interactive.py(14)stops()", "interactive.py(15)stops()")) for line in lines), lines
    assert "(Pdb) 42" in lines
    assert done.stdout.endswith("200\n")


def test_leaving_the_debugger_ends_the_function(server: Freehold) -> None:
    done = server("run", "-i", f"{PROGRAM}::stops", stdin="q\n")
    assert done.returncode == 1
    assert "BdbQuit" in done.stderr


def test_set_trace_reads_from_the_terminal_too(server: Freehold) -> None:
    done = server("run", "-i", f"{PROGRAM}::traces", stdin="p secret * 6\nc\n")
    assert done.returncode == 0, done.stderr
    assert {"(Pdb) 42", "7"} <= set(done.stdout.splitlines())


def test_interact_connects_input_and_print(server: Freehold) -> None:
    done = server("run", "-i", f"{PROGRAM}::asks", stdin="Ada\n")
    assert (done.returncode, done.stdout) == (0, "who? hello Ada\n3\n"), done.stderr


def test_async_functions_interact_too(server: Freehold) -> None:
    assert server.ok("run", "-i", f"{PROGRAM}::asks_async", stdin="Bob\n").endswith("and you? Bob\n")


def test_input_in_an_instance_ends_where_there_is_no_terminal(server: Freehold) -> None:
    assert server.ok("run", "-q", f"{PROGRAM}::reads", stdin="not for it\n") == "\n"
    assert server.ok("run", "-i", f"{PROGRAM}::reads", stdin="a\nb") == "a\nb\n"


def test_without_a_terminal_a_breakpoint_says_how_to_have_one(server: Freehold) -> None:
    for name in ("stops", "asks"):
        done = server("run", f"{PROGRAM}::{name}")
        assert done.returncode == 2, done.stderr
        assert "freehold run --interactive" in done.stderr
    done = server("run", "-i", "-q", f"{PROGRAM}::stops")
    assert done.returncode == 2
    assert "--quiet" in done.stderr


def test_a_local_breakpoint_needs_nothing(server: Freehold) -> None:
    done = server("run", f"{PROGRAM}::local", stdin="p z + 1\nc\n")
    assert done.returncode == 0, done.stderr
    assert "(Pdb) 6" in done.stdout
    assert done.stdout.endswith("after 5 True\n")
