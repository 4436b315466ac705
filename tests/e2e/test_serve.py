"""`freehold serve`: what was saved takes over when it is up, and what cannot be loaded leaves what runs alone."""

import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
from tests.e2e.harness import Freehold, wait_for

_PROGRAM = """
import freehold

app = freehold.App("e2e-serve")


@app.function()
@freehold.fastapi_endpoint()
def version() -> int:
    return {version}
"""


def test_what_was_saved_takes_over_without_a_gap(server: Freehold, tmp_path: Path) -> None:
    program = tmp_path / "service.py"
    program.write_text(_PROGRAM.format(version=1))
    served = server.start("serve", str(program))
    said: list[str] = []
    assert served.stdout is not None
    reading = threading.Thread(target=said.extend, args=(served.stdout,))
    reading.start()
    try:
        wait_for(lambda: re.search(r"version (http\S+)", "".join(said)))
        url = re.findall(r"version (http\S+)", "".join(said))[0]
        assert httpx.get(url, timeout=30).json() == 1

        gone: list[httpx.TransportError] = []
        until = _answers_meanwhile(url, gone)
        program.write_text(_PROGRAM.format(version=2))
        until(lambda answer: answer == 2)
        program.write_text("def broken(:\n")
        wait_for(lambda: "it did not come up: the version before goes on" in "".join(said))
        assert "SyntaxError" in "".join(said)
        until(lambda answer: answer == 2)
        (tmp_path / "new.py").write_text(_PROGRAM.format(version=3))
        (tmp_path / "new.py").replace(program)  # as editors save
        until(lambda answer: answer == 3)
        assert not gone
    finally:
        served.send_signal(signal.SIGINT)
        assert served.wait(30) == 0
        reading.join()
        served.stdout.close()
    assert "e2e-serve" not in [a["name"] for a in server.json("app", "list")]


def _answers_meanwhile(url: str, gone: list[httpx.TransportError]) -> Callable[[Callable[[object], bool]], None]:
    """Return what asks again and again until an answer fits, and keeps every refused connection."""

    def ask() -> object:
        try:
            return httpx.get(url, timeout=30).json()
        except httpx.TransportError as error:
            gone.append(error)
            return None

    return lambda fits: wait_for(lambda: fits(ask()))
