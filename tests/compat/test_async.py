"""The asynchronous face where a program opens something, or finds it by its id."""

from tests.e2e.harness import Freehold


def test_what_is_opened_or_found_has_an_aio_too(server: Freehold) -> None:
    done = server("python", "opened_aio.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["True 8", "1 item b'text'", "Image None"]
