"""What functions can do at run time."""

from pathlib import Path

import pytest
from tests.e2e.harness import Freehold

PROGRAMS = Path(__file__).parent / "programs"


def test_overrides_run_in_instances_of_their_own(server: Freehold) -> None:
    done = server("run", "-q", "with_options.py::main", cwd=PROGRAMS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "plain (('base', None, None), False)",
        "varied ((None, 'env', 'sealed'), True) True",
        "equal overrides share a pool True",
        "passed on ((None, 'env', 'sealed'), True)",
        "class (11, 'a') (12, 'a') (11, None)",
        "pools 3",
        "InvalidError where.with_options: timeout=0.01 is not a number of seconds between 1 and 604800",
    ]
    server.ok("volume", "delete", "compat-with-options", "--yes")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("secret", "there is no secret 'compat-no-such-secret'"),
        ("volume", "no volume 'compat-no-such-volume'"),
        ("memory", "function 'where': "),
    ],
)
def test_overrides_are_admitted_as_a_deployment_is(server: Freehold, what: str, said: str) -> None:
    done = server("run", "-q", "with_options.py::refused", "--what", what, cwd=PROGRAMS)
    assert done.returncode != 0
    assert said in done.stderr
    assert "freehold/sdk" not in done.stderr


def test_concurrency_and_batching_can_be_overridden(server: Freehold) -> None:
    done = server("run", "-q", "with_concurrency.py", cwd=PROGRAMS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "together [True, True, True, True]",
        "doubled [0, 2, 4, 6, 8, 10, 12, 14] 8",
        "batches True 1",
        "max_inputs=0 is not a whole number between 1 and 1000",
    ]
