"""Classes that serve HTTP on a port of their own: `@app.server`, and `experimental.http_server`."""

from concurrent.futures import ThreadPoolExecutor

import httpx
from tests.e2e.harness import Freehold, wait_for


def test_a_server_answers_503_until_it_is_warm(server: Freehold) -> None:
    done = server("run", "-q", "server_who.py")
    assert done.returncode == 0, done.stderr
    assert "cold 503\nwarm in-\n" in done.stdout
    assert "left" in done.stdout


def test_more_requests_than_max_concurrency_get_429(server: Freehold) -> None:
    server.ok("deploy", "server_who.py")
    try:
        urls = server.endpoints("compat-server")
        url, locked = urls["Who"], urls["Locked"]
        _warm(url)
        with ThreadPoolExecutor(8) as pool:
            answers = [a.status_code for a in pool.map(httpx.get, [f"{url}/?s=1"] * 8)]
        assert sorted(answers) == [200] * 2 + [429] * 6
        assert httpx.post(url, content=b"x" * 3_000_000).text == "3000000"

        assert httpx.get(locked).status_code == 401
        assert httpx.get(locked, headers={"Modal-Key": "wk-1", "Modal-Secret": "ws-wrong"}).status_code == 401
        shown = {"Modal-Key": "wk-1", "Modal-Secret": server.token}
        wait_for(lambda: httpx.get(locked, headers=shown).status_code == 200, timeout_s=20)
    finally:
        server.ok("app", "stop", "compat-server", "--yes")


def _warm(url: str) -> None:
    wait_for(lambda: httpx.get(url).status_code == 200, timeout_s=20)
