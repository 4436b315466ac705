"""`modal.experimental` beside clusters and servers."""

from tests.e2e.harness import Freehold


def test_deployed_apps_are_listed_looked_into_and_stopped(server: Freehold) -> None:
    done = server("python", "experimental_apps.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "True True",
        "{'Adder': 'Cls', 'double': 'Function'}",
        "8 6",
        "[]",
        "NotFoundError",
    ]
    assert "is now modal.App.lookup('compat-experimental-apps').stop()" in done.stderr
