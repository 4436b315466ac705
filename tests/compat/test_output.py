"""`enable_output` in plain scripts."""

from tests.e2e.harness import Freehold

PROGRAM = "output.py"


def test_what_an_app_writes_is_shown_where_that_is_wanted(server: Freehold) -> None:
    done = server("python", PROGRAM)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["HIDDEN", "SHOWN", "UNWANTED", "instance says shown"]
    progress, warns = done.stderr.splitlines()
    assert progress.startswith("app compat-output http://")
    assert warns == "instance warns shown"
