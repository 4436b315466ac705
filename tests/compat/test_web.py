"""Web endpoints as programs use them: ports of their own, networks of their own, the addresses of the platform."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.e2e.harness import Freehold, wait_for

PROGRAMS = Path(__file__).parent / "programs"
needs_bwrap = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="no bubblewrap here (apt-get install bubblewrap)"
)
needs_slirp = pytest.mark.skipif(
    shutil.which("slirp4netns") is None, reason="no slirp4netns here (apt-get install slirp4netns)"
)


@pytest.fixture(scope="module")
def ports(server: Freehold) -> Iterator[dict[str, str]]:
    """URLs of the functions that all serve on port 8000."""
    server.ok("deploy", str(PROGRAMS / "web_own_ports.py"))
    shown = server.json("app", "show", "compat-ports")["functions"]
    yield {f["name"]: f["endpoints"][""] for f in shown if f["endpoints"]}
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
    done = server("run", "-q", str(PROGRAMS / "web_own_ports.py"), "--host", "127.0.0.1", "--port", str(server.port))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["no network: Connection refused", "heard from inside"]


def _ready(server: Freehold, function: str) -> set[str]:
    shown = server.json("instance", "list", "--app", "compat-ports", "--function", function)
    return {i["id"] for i in shown if i["state"] in {"idle", "busy"}}


def _who(url: str, headers: dict[str, str] | None = None) -> str:
    return httpx.get(url, headers=headers, timeout=30).text


@needs_bwrap
def test_ports_are_forwarded_until_the_block_or_the_instance_ends(server: Freehold) -> None:
    done = server("run", "-q", str(PROGRAMS / "forward.py"))
    assert done.returncode == 0, done.stderr
    machine, own, web, left, local = done.stdout.splitlines()
    assert machine == own == "3000000 True ConnectionRefusedError"
    assert web == "200 True"
    host, port = left.split(":")
    wait_for(lambda: _refuses(host, int(port)), timeout_s=10)
    assert local == "forward() opens ports of instances: call it in a function that runs in one"


def _refuses(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) != 0
