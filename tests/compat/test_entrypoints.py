"""The arguments of local entrypoints as options of `freehold run`."""

from tests.e2e.harness import Freehold

PROGRAM = "entrypoint_types.py"


def test_each_type_is_read_from_its_option(server: Freehold) -> None:
    words = (
        "--number 3 --ratio 1.5 --flag --when 2026-01-02T03:04:05 --anything a --maybe 7 --mode slow --level 2 --path /x --size large "
        "--items [1,2] --items 3 --plain y"
    )
    assert server.ok("run", "-q", f"{PROGRAM}::main", *words.split()) == (
        "3 1.5 True 2026-01-02 03:04:05 a 7 slow 2 /x LARGE [1, 2, 3] y\n"
    )
    assert server.ok("run", "-q", f"{PROGRAM}::main", "--number=1", "--no-flag") == (
        "1 0.5 False None None None fast 1 . SMALL [] x\n"
    )


def test_variable_arguments_are_given_as_they_are(server: Freehold) -> None:
    assert server.ok("run", "-q", f"{PROGRAM}::rest", "a", "--b", "3") == "('a', '--b', '3')\n"


def test_a_bad_value_is_a_usage_error_that_names_the_option(server: Freehold) -> None:
    for option, value in (("--number", "x"), ("--level", "3"), ("--items", '[1,"x"]'), ("--size", "huge")):
        done = server("run", f"{PROGRAM}::main", "--number", "1", option, value)
        assert done.returncode == 2, done.stderr
        assert option in done.stderr
        assert "Traceback" not in done.stderr
