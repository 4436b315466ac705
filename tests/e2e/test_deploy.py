"""`freehold deploy` and what a deployed app is to others: by name, over HTTP, as logs, versions and rollbacks."""

import asyncio
import json
import threading
import time
import urllib.request
from typing import Any

import httpx
import pytest
import websockets
from tests.e2e.harness import Freehold, wait_for


@pytest.fixture(scope="module")
def service(server: Freehold) -> dict[str, str]:
    """Deploy the service once; return its endpoints by function."""
    server.ok("deploy", "service.py", "--tag", "first")
    view = server.json("app", "show", "e2e-service")
    return {f["name"]: url for f in view["functions"] for url in f["endpoints"].values()}


def post(server: Freehold, path: str, body: Any, token: str | None = None) -> tuple[int, Any]:
    headers = {"authorization": f"Bearer {server.token if token is None else token}"}
    answer = httpx.post(server.url + path, json=body, headers=headers, timeout=60)
    return answer.status_code, answer.json()


def test_a_web_function_answers(service: dict[str, str]) -> None:
    assert httpx.get(service["greet"], params={"name": "you"}, timeout=60).json() == {"hello": "you"}


def test_an_application_streams_as_it_goes(service: dict[str, str]) -> None:
    with httpx.stream("GET", service["web"] + "/stream", timeout=60) as answer:
        times = [(time.monotonic(), chunk) for chunk in answer.iter_text()]
    assert "".join(c for _, c in times) == "".join(f"chunk {i}\n" for i in range(5))
    assert times[-1][0] - times[0][0] > 0.1  # not held back until the end


def test_a_large_body_arrives_whole(service: dict[str, str]) -> None:
    assert httpx.post(service["web"] + "/length", json={"text": "x" * 3_000_000}, timeout=60).json() == {
        "length": 3_000_000
    }


async def test_a_websocket_goes_both_ways(service: dict[str, str]) -> None:
    async with asyncio.timeout(60), websockets.connect(service["web"].replace("http", "ws") + "/echo") as socket:
        for word in ("a", "b"):
            await socket.send(word)
            assert await socket.recv() == f"echo {word}"


def test_a_function_is_called_by_name(server: Freehold, service: dict[str, str]) -> None:
    program = "import freehold; print(freehold.Function.from_name('e2e-service', 'add').remote(2, b=3))"
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-c", program], env=server.env, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.strip() == "5", done.stderr


def test_a_function_is_called_with_plain_json(server: Freehold, service: dict[str, str]) -> None:
    status, body = post(server, "/v1/functions/e2e-service/add/call", {"args": [20], "kwargs": {"b": 22}})
    assert (status, body["result"]) == (200, 42)
    status, body = post(server, "/v1/functions/e2e-service/nothing/call", {})
    assert status == 404
    assert body["error"]["type"] == "NotFoundError"
    status, body = post(server, "/v1/functions/e2e-service/add/call", {"kwargs": {"zzz": 1}})
    assert status >= 400
    assert "zzz" in body["error"]["message"]
    assert post(server, "/v1/functions/e2e-service/add/call", {"args": [1]}, token="wrong")[0] == 401


def test_the_openapi_page_names_the_function(server: Freehold, service: dict[str, str]) -> None:
    request = urllib.request.Request(f"{server.url}/openapi.json", headers={"authorization": f"Bearer {server.token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert "/v1/functions/e2e-service/add/call" in json.load(answer)["paths"]


def test_logs_are_read_searched_and_followed(server: Freehold, service: dict[str, str]) -> None:
    post(server, "/v1/functions/e2e-service/add/call", {"args": [777]})
    wait_for(lambda: "adding 777 and 1" in server.ok("app", "logs", "e2e-service"))
    assert server.ok("app", "logs", "e2e-service", "--search", "777").splitlines() == ["adding 777 and 1"]
    assert len(server.ok("app", "logs", "e2e-service", "--tail", "1").splitlines()) == 1
    assert server.ok("app", "logs", "e2e-service", "--until", "1h") == ""
    line = json.loads(server.ok("app", "logs", "e2e-service", "--search", "777", "--json"))
    assert (line["app"], line["function"], line["stream"]) == ("e2e-service", "add", "stdout")
    assert line["call"].startswith("fc-")
    assert line["instance"].startswith("in-")
    following = server.start("app", "logs", "e2e-service", "-f", "--tail", "0")
    assert following.stdout is not None
    try:
        time.sleep(1.5)  # until it listens: only lines from then on are followed
        post(server, "/v1/functions/e2e-service/add/call", {"args": [888]})
        assert following.stdout.readline() == "adding 888 and 1\n"
    finally:
        following.terminate()
        following.wait(10)
        following.stdout.close()


def test_versions_are_listed_and_rolled_back(server: Freehold, service: dict[str, str]) -> None:
    server.ok("deploy", "service.py", "--tag", "second")
    versions = server.json("app", "history", "e2e-service")
    assert [v["tag"] for v in versions[:2]] == ["second", "first"]
    assert server("app", "rollback", "e2e-service", "first").returncode == 2
    server.ok("app", "rollback", "e2e-service", f"v{versions[1]['version']}")
    current = [v for v in server.json("app", "history", "e2e-service") if v["current"]]
    assert len(current) == 1
    assert current[0]["version"] == versions[0]["version"] + 1
    assert httpx.get(service["greet"], timeout=60).status_code == 200


def test_an_app_is_stopped_by_name(server: Freehold) -> None:
    server.ok("deploy", "service.py", "--name", "e2e-short")
    asked = server("app", "stop", "e2e-short", stdin="")
    assert asked.returncode == 2
    assert "--yes" in asked.stderr
    server.ok("app", "stop", "e2e-short", "--yes")
    assert "had stopped already" in server.ok("app", "stop", "e2e-short")
    assert [a["name"] for a in server.json("app", "list") if a["name"] == "e2e-short"] == []
    assert post(server, "/v1/functions/e2e-short/add/call", {"args": [1]})[0] == 404


def test_an_endpoint_keeps_its_port_while_its_app_is_stopped(server: Freehold) -> None:
    def urls(name: str) -> list[str]:
        return [u for f in server.json("app", "show", name)["functions"] for u in f["endpoints"].values()]

    server.ok("deploy", "service.py", "--name", "e2e-kept")
    before = urls("e2e-kept")
    server.ok("app", "stop", "e2e-kept", "--yes")
    server.ok("deploy", "service.py", "--name", "e2e-other")
    assert not set(before) & set(urls("e2e-other"))
    server.ok("deploy", "service.py", "--name", "e2e-kept")
    assert urls("e2e-kept") == before
    for name in ("e2e-kept", "e2e-other"):
        server.ok("app", "stop", name, "--yes")


def test_serve_takes_up_changes(server: Freehold, tmp_path: Any) -> None:
    program = tmp_path / "served.py"
    text = "import freehold\napp = freehold.App('e2e-served')\n@app.function()\n@freehold.fastapi_endpoint()\ndef say():\n    return 'WORD'\n"
    program.write_text(text.replace("WORD", "one"))
    serving = server.start("serve", str(program))

    def said() -> str:
        apps = [a for a in server.json("app", "list") if a["name"] == "e2e-served"]
        urls = [
            u for a in apps for f in server.json("app", "show", a["id"])["functions"] for u in f["endpoints"].values()
        ]
        try:
            return httpx.get(urls[0], timeout=30).text if urls else ""
        except httpx.HTTPError:
            return ""

    try:
        wait_for(lambda: said() == '"one"')
        program.write_text(text.replace("WORD", "two"))
        wait_for(lambda: said() == '"two"')
    finally:
        serving.send_signal(2)
        output, _ = serving.communicate(timeout=30)
        print(output)
    assert serving.returncode == 0, output
    assert "served.py changed" in output
    wait_for(lambda: not [a for a in server.json("app", "list") if a["name"] == "e2e-served"])


def test_a_new_version_takes_over_without_a_failed_request_and_a_broken_one_never_does(
    server: Freehold, tmp_path: Any
) -> None:
    program = tmp_path / "rolling.py"
    text = (
        "import freehold, time\n"
        "app = freehold.App('e2e-rolling')\n"
        "EXTRA\n"
        "@app.function()\n"
        "@freehold.concurrent(max_inputs=4)\n"
        "@freehold.fastapi_endpoint()\n"
        "def version():\n"
        "    time.sleep(0.02)\n"
        "    return NUMBER\n"
    )

    def deploy(number: int, extra: str = "") -> int:
        program.write_text(text.replace("NUMBER", str(number)).replace("EXTRA", extra))
        return server("deploy", str(program)).returncode

    assert deploy(1) == 0
    [url] = [u for f in server.json("app", "show", "e2e-rolling")["functions"] for u in f["endpoints"].values()]
    assert httpx.get(url, timeout=30).text == "1"
    seen: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(timeout=30) as client:
            while not stop.is_set():
                answer = client.get(url)
                seen.append(answer.text if answer.status_code == 200 else f"HTTP {answer.status_code}")

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    try:
        wait_for(lambda: "1" in seen)
        assert deploy(2) == 0
        assert httpx.get(url, timeout=30).text == "2", "the old version answered after the deploy was done"
        assert deploy(3, "if not freehold.is_local(): import a_module_that_is_not_there") != 0
        assert httpx.get(url, timeout=30).text == "2"
    finally:
        stop.set()
        for thread in asking:
            thread.join(30)
    assert set(seen) == {"1", "2"}
    assert [v["version"] for v in server.json("app", "history", "e2e-rolling")] == [2, 1], (
        "the broken one left a version"
    )
    server.ok("app", "stop", "e2e-rolling", "--yes")
