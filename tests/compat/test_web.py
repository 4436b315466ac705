"""Web endpoints as programs use them: ports of their own, networks of their own, the addresses of the platform."""

import ast
import shutil
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from tests.e2e.harness import Freehold, wait_for
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

needs_bwrap = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="no bubblewrap here (apt-get install bubblewrap)"
)
needs_slirp = pytest.mark.skipif(
    shutil.which("slirp4netns") is None, reason="no slirp4netns here (apt-get install slirp4netns)"
)


@pytest.fixture(scope="module")
def ports(server: Freehold) -> Iterator[dict[str, str]]:
    """URLs of the functions that all serve on port 8000."""
    server.ok("deploy", "web_own_ports.py")
    yield server.endpoints("compat-ports")
    server.ok("app", "stop", "compat-ports", "--yes")


@needs_bwrap
def test_several_instances_serve_on_one_port(server: Freehold, ports: dict[str, str]) -> None:
    wait_for(lambda: len(_ready(server, "alone")) == 2)
    assert _who(ports["alone"]) in _ready(server, "alone")


@needs_bwrap
@needs_slirp
def test_functions_that_need_the_network_too_serve_on_one_port(server: Freehold, ports: dict[str, str]) -> None:
    wait_for(lambda: len(_ready(server, "one")) == 2)
    wait_for(lambda: len(_ready(server, "Two")) == 2)
    assert _who(ports["one"]) in _ready(server, "one")
    code = "import modal; print(modal.Server.from_name('compat-ports', 'Two').update_autoscaler(min_containers=1).min_containers)"
    assert server.ok("python", "-c", code) == "1\n"
    by_session = {n: _who(ports["Two"], {"Modal-Session-Id": f"s{n}"}) for n in range(12)}
    assert set(by_session.values()) == _ready(server, "Two")
    assert all(_who(ports["Two"], {"Modal-Session-Id": f"s{n}"}) == who for n, who in by_session.items())


@needs_bwrap
@needs_slirp
def test_an_instance_reaches_the_platform_by_the_address_that_everyone_uses(
    server: Freehold, ports: dict[str, str]
) -> None:
    assert _who(ports["asks_others"]).removeprefix("heard ") in _ready(server, "alone")


@needs_bwrap
def test_a_blocked_network_reaches_nothing_but_the_platform(server: Freehold) -> None:
    assert server.lines("run", "-q", "web_own_ports.py", "--host", "127.0.0.1", "--port", str(server.port)) == [
        "no network: Connection refused",
        "heard from inside",
    ]


@pytest.fixture(scope="module")
def faces(server: Freehold) -> Iterator[dict[str, str]]:
    """URLs of one function of each kind; what deploying said is under ""."""
    done = server("deploy", "web_faces.py")
    assert done.returncode == 0, done.stderr
    yield server.endpoints("compat-faces") | {"": done.stderr}
    server.ok("app", "stop", "compat-faces", "--yes")


def test_plain_factories_may_run_loops_threads_and_programs(server: Freehold) -> None:
    server.ok("deploy", "factories.py")
    urls = server.endpoints("compat-factories")
    assert httpx.get(urls["asgi"], timeout=30).json() == ["fetched", False, True]
    assert httpx.get(urls["on_the_loop"], timeout=30).json() == "fetched"
    assert httpx.get(urls["wsgi"], timeout=30).text == "fetched"
    assert httpx.get(urls["served"], timeout=30).text == "fetched"
    server.ok("app", "stop", "compat-factories", "--yes")


def test_names_and_options_of_old_work_with_a_warning(faces: dict[str, str]) -> None:
    assert "custom_domains=['add.example.com'] has no effect here" in faces[""]
    assert "@modal.web_endpoint is now @modal.fastapi_endpoint" in faces[""]
    assert "wait_for_response=False" in faces[""]
    assert httpx.get(faces["old"], params={"name": "me"}, timeout=30).json() == "hello me"


def test_a_function_is_an_endpoint_with_docs_and_every_origin(server: Freehold, faces: dict[str, str]) -> None:
    url = faces["add"]
    answer = httpx.post(url, params={"a": 4}, headers={"origin": "https://elsewhere.example"}, timeout=30)
    assert answer.json() == {"sum": 5, "url": url}
    assert answer.headers["access-control-allow-origin"] in {"*", "https://elsewhere.example"}
    asks = {"origin": "https://elsewhere.example", "access-control-request-method": "POST"}
    assert httpx.options(url, headers=asks).status_code == 200
    assert "swagger" in httpx.get(f"{url}/docs").text.lower()
    assert httpx.get(url).status_code == 405
    by_name = httpx.post(server.url, params={"a": 1}, headers={"host": "compat-adds.localhost"})
    assert by_name.json()["sum"] == 2


def test_events_come_as_they_are_sent(faces: dict[str, str]) -> None:
    came: list[float] = []
    with httpx.stream("GET", f"{faces['api']}/events", timeout=30) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        texts = [(came.append(time.monotonic()), line)[1] for line in answer.iter_lines() if line]
    assert texts == ["data: 0", "data: 1", "data: 2"]
    assert came[-1] - came[0] > 0.4, "they came together"


def test_large_bodies_go_both_ways(faces: dict[str, str]) -> None:
    up = (b"y" * 1_000_000 for _ in range(40))
    assert httpx.post(f"{faces['api']}/size", content=up, timeout=60).json() == 40_000_000
    with httpx.stream("GET", f"{faces['api']}/big", timeout=60) as answer:
        assert sum(map(len, answer.iter_bytes())) == 40_000_000


def test_a_stream_may_outlast_the_timeout(faces: dict[str, str]) -> None:
    assert httpx.get(faces["slow"], timeout=30).text == "0123456"


def test_a_program_sees_the_name_that_its_caller_used(faces: dict[str, str]) -> None:
    url = faces["api"]
    seen = httpx.get(f"{url}/where", timeout=30).json()
    assert seen == {"host": url.removeprefix("http://"), "link": f"{url}/where", "modal": False}


async def test_a_websocket_keeps_its_close_code(faces: dict[str, str]) -> None:
    async with connect(f"{faces['api'].replace('http', 'ws')}/chat") as chat:
        await chat.send("quiet")
        assert await chat.recv() == "QUIET"
        await chat.send("bye")
        with pytest.raises(ConnectionClosed):
            await chat.recv()
        assert chat.close_code == 4000


def test_wsgi_and_programs_on_ports_are_served(faces: dict[str, str]) -> None:
    assert httpx.get(f"{faces['wsgi']}/some/path", timeout=30).text == "GET /some/path"
    assert "root:" in httpx.get(f"{faces['files']}/passwd", timeout=30).text
    wait_for(lambda: httpx.get(f"{faces['Flash']}/passwd", timeout=30).status_code == 200)


def test_a_locked_endpoint_wants_a_token(server: Freehold, faces: dict[str, str]) -> None:
    url = faces["locked"]
    for wrong in ({}, {"Modal-Key": "wk-1", "Modal-Secret": "ws-1"}, {"Authorization": "Bearer nobody"}):
        refused = httpx.get(url, headers=wrong)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "unauthenticated")
    for right in ({"Modal-Key": "wk-1", "Modal-Secret": server.token}, {"Authorization": f"Bearer {server.token}"}):
        assert httpx.get(url, headers=right, timeout=30).json() == "open"


def test_instances_know_the_addresses_too(server: Freehold, faces: dict[str, str]) -> None:
    code = "import modal; print(modal.Function.from_name('compat-faces', 'others').remote())"
    done = server("python", "-c", code)
    assert done.returncode == 0, done.stderr
    assert ast.literal_eval(done.stdout) == [faces["add"], faces["api"], faces["Flash"]]


def _ready(server: Freehold, function: str) -> set[str]:
    shown = server.json("instance", "list", "--app", "compat-ports", "--function", function)
    return {i["id"] for i in shown if i["state"] in {"idle", "busy"}}


def _who(url: str, headers: dict[str, str] | None = None) -> str:
    return httpx.get(url, headers=headers, timeout=30).text


@needs_bwrap
def test_ports_are_forwarded_until_the_block_or_the_instance_ends(server: Freehold) -> None:
    machine, own, web, left, local = server.lines("run", "-q", "forward.py")
    assert machine == own == "3000000 True ConnectionRefusedError"
    assert web == "200 True"
    host, port = left.split(":")
    wait_for(lambda: _refuses(host, int(port)), timeout_s=10)
    assert local == "forward() opens ports of instances: call it in a function that runs in one"


def test_a_port_of_another_program_is_not_forwarded(server: Freehold) -> None:
    assert server.lines("run", "-q", "forward_held.py") == ["True", "hung up"]


def _refuses(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) != 0


def test_what_a_request_calls_is_below_it_in_the_graph(server: Freehold) -> None:
    server.ok("deploy", "web_graph.py")
    urls = server.endpoints("compat-web-graph")
    with httpx.Client(timeout=30) as http:
        for name in ("endpoint", "wsgi"):
            said = http.get(f"{urls[name]}?x=1", headers={"x-freehold-call": "fc-ofsomebodyelse"}).json()
            assert said["root"] == [name, said["own"], "PENDING", True]
            assert said["children"] == [["job", said["call"], "SUCCESS"]]
            assert said["input"] == f"{said['own']}:0"
        first, second = (http.get(f"{urls['asgi']}/async?x=1").json() for _ in range(2))
        assert first["own"] != second["own"]
        for one in (first, second):  # their requests have ended
            said = http.get(f"{urls['asgi']}/result/{one['call']}").json()
            assert said["root"] == ["asgi", one["own"], "SUCCESS", False]
            assert said["children"] == [["job", one["call"], "SUCCESS"]]
    server.ok("app", "stop", "compat-web-graph", "--yes")
