"""What a machine or a workspace lacks, and when that is told."""

import pytest
from tests.e2e.harness import Freehold, wait_for


def test_an_app_comes_up_with_the_functions_that_can_run(server: Freehold) -> None:
    done = server("run", "mixed.py")
    assert done.returncode == 0, done.stdout + done.stderr
    lacks = "function 'expensive': gpu='h100:8': this machine has "
    assert f"warning: {lacks}" in done.stderr
    assert "warning: function 'large': cpu=1000 is more than this machine's" in done.stderr
    assert "warning: function 'other': memory=1073741824 MiB is more than this machine's" in done.stderr
    assert "function 'small': cpu=2000 is more than this machine's" in done.stderr
    assert done.stderr.count("it runs with what there is") == 3
    small, remote, spawned, mapped, large, varied, page = done.stdout.splitlines()
    assert small == "small"
    assert remote.startswith(f"remote {lacks}")
    assert spawned.startswith(f"spawn {lacks}")
    assert mapped.startswith(f"map {lacks}")
    assert (large, varied) == ("('large', 0)", "small")
    assert page.startswith("page 503 ")
    assert "gpu='h100:8': this machine has " in page


def test_the_function_that_cannot_run_ends_a_run_of_it(server: Freehold) -> None:
    done = server("run", "mixed.py::expensive")
    assert done.returncode == 7
    assert done.stderr.splitlines()[-1].startswith("error: function 'expensive': gpu='h100:8'")


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("no_secret", 4, "there is no secret 'compat-nowhere'; make it with"),
        ("no_key", 2, "function 'b': secret 'compat-lacking' has no key 'KEY'"),
        ("no_volume", 4, "'compat-no-volume'"),
        ("no_gpu", 7, "function 'd': gpu='h100:8'"),
    ],
)
def test_what_lacks_is_told_before_images_are_built(server: Freehold, name: str, code: int, words: str) -> None:
    server.ok("secret", "create", "compat-lacking", "OTHER=1", "--force")
    done = server("deploy", f"lacking.py::{name}")
    server.ok("secret", "delete", "compat-lacking", "--yes")
    assert done.returncode == code, done.stdout + done.stderr
    assert words in done.stderr
    assert "building" not in done.stderr


def test_the_log_says_which_function_could_not_start_and_when_it_is_tried_again(server: Freehold) -> None:
    server.ok("deploy", "never_starts.py")
    wait_for(lambda: "(2 times in a row)" in server.ok("app", "logs", "compat-never-starts"))
    logs = server.ok("app", "logs", "compat-never-starts")
    assert "function 'Never' could not start; next try in 1 s" in logs
    assert "function 'Never' could not start (2 times in a row); next try in 2 s" in logs
    server.ok("app", "stop", "compat-never-starts", "--yes")
