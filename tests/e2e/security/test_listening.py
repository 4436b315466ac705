"""S2: a fresh server listens on loopback only, and what it keeps is its owner's alone."""

import json
import urllib.error
import urllib.request
from dataclasses import replace

import psutil
import pytest
from tests.e2e.harness import PROGRAMS, Freehold, MakeHome


def listening(home: Freehold) -> list[tuple[str, int]]:
    server = psutil.Process(int(json.loads((home.home / "server.json").read_text())["pid"]))
    tree = [server, *server.children(recursive=True)]
    found = [c for p in tree for c in p.net_connections("inet") if c.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)]
    return [(c.laddr.ip, c.laddr.port) for c in found]


def test_s2_every_socket_listens_on_loopback(server: Freehold) -> None:
    server.ok("deploy", "service.py")
    found = listening(server)
    assert any(port == server.port for _, port in found)
    assert {ip for ip, _ in found} <= {"127.0.0.1", "::1"}


def test_s2_no_default_token_and_files_of_the_owner_only(server: Freehold, make_home: MakeHome) -> None:
    other = make_home()
    other.ok("up", "--detach")
    assert other.token != server.token
    assert len(server.token) >= 32
    for name in ("token", "key"):
        assert (server.home / name).stat().st_mode & 0o077 == 0
    for name in ("run/api.sock", "run/link.sock"):
        path = server.home / name
        assert not path.exists() or path.stat().st_mode & 0o077 == 0


def test_s2_a_home_that_up_makes_is_its_owners_alone(make_home: MakeHome) -> None:
    made = make_home()
    new = replace(made, home=made.home / "new")
    new.ok("up", "--detach")
    try:
        assert new.home.stat().st_mode & 0o077 == 0
        assert (new.home / "logs").stat().st_mode & 0o077 == 0
    finally:
        new.ok("down")


def test_s2_a_wider_bind_has_to_be_asked_for(make_home: MakeHome) -> None:
    home = make_home()
    refused = home("up", "--detach", "--host", "0.0.0.0")
    assert refused.returncode == 2
    assert "--allow-remote" in refused.stdout + refused.stderr
    assert not (home.home / "server.json").exists()


def test_stderr_of_a_traceback_never_reaches_a_caller(server: Freehold) -> None:
    request = urllib.request.Request(
        f"{server.url}/v1/apps", data=b'{"spec": 1}', method="POST", headers={"Authorization": f"Bearer {server.token}"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    body = caught.value.read().decode()
    assert caught.value.code == 400
    assert "Traceback" not in body
    assert str(PROGRAMS.parents[2]) not in body
