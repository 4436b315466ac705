"""What docs/concepts/guarantees.md promises about the server's edges, on a real server that is watched by an audit hook."""

import json
import pickle
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tests.e2e.harness import PROGRAMS, Freehold, MakeHome

MARK = "c4n4ry"
# an audit hook cannot be taken out again: it watches the server from its first line to its last
HOOK = """
import os, sys
_out = os.open(os.environ["AUDIT_OUT"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
_WATCHED = {"pickle.find_class", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "marshal.loads"}
def _hook(event, args):
    if event in _WATCHED - {"marshal.loads"}:
        os.write(_out, (event + " " + repr(args)[:20000] + "\\n").encode(errors="replace"))
sys.addaudithook(_hook)
"""


class Canary:
    """A pickle that would import what is watched."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return subprocess.check_call, (f"touch /tmp/{MARK}",)


@pytest.fixture(scope="module")
def watched(make_home: MakeHome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Freehold, Path]]:
    folder = tmp_path_factory.mktemp("audit")
    (folder / "sitecustomize.py").write_text(HOOK)
    out = folder / "events"
    home = make_home(PYTHONPATH=str(folder), AUDIT_OUT=str(out))
    home.ok("up", "--detach")
    yield home, out
    home.ok("down")


def events(out: Path, pid: int) -> list[str]:
    del pid
    return out.read_text(errors="replace").splitlines() if out.exists() else []


def send(home: Freehold, method: str, path: str, body: bytes = b"", **headers: str) -> int:
    request = urllib.request.Request(
        home.url + path, data=body or None, method=method, headers={"Authorization": f"Bearer {home.token}", **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


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


def test_s3_the_server_unpickles_nothing(watched: tuple[Freehold, Path]) -> None:
    home, out = watched
    home.ok("deploy", "counter.py")
    canary = pickle.dumps(Canary())
    before = len([e for e in events(out, 0) if e.startswith("pickle.")])
    # through the front door: as an argument and as a result of real calls, which only the instance and the client open
    text = (
        "import freehold, os, sys\n"
        "class Canary:\n"
        "    def __reduce__(self): return (str, ('opened',))\n"
        "app = freehold.App('canary')\n"
        "@app.function(serialized=True)\n"
        "def echo(x): return x\n"
        "with app.run():\n"
        "    assert echo.remote(Canary()) == 'opened'\n"
        "    assert echo.spawn(Canary()).get() == 'opened'\n"
    )
    subprocess.run(
        [sys.executable, "-c", text],
        env={k: v for k, v in home.env.items() if k != "PYTHONPATH"},
        check=True,
        timeout=60,
    )
    # and as bytes in every place that takes bytes
    for method, path in (
        ("POST", "/v1/apps"), ("POST", "/v1/images"), ("POST", "/v1/blobs/missing"), ("PUT", "/v1/volumes/v"), ("PUT", "/v1/volumes/v/files/x.pkl"),
        ("PUT", "/v1/secrets/s"), ("POST", "/v1/functions/e2e-counter/Counter/add/call"), ("POST", "/login"),
    ):  # fmt: skip
        for kind in ("application/json", "application/python-pickle", "application/octet-stream"):
            status = send(
                home, method, path, canary, **{"Content-Type": kind, "Cookie": "freehold_session=" + canary.hex()}
            )
            assert status < 500, (method, path, status)
    home.ok("call", "list")
    found = [e for e in events(out, 0) if e.startswith("pickle.")]
    assert len(found) == before, found[before:]
    assert not Path(f"/tmp/{MARK}").exists()


def test_s5_no_command_is_made_from_a_request(watched: tuple[Freehold, Path]) -> None:
    home, out = watched
    home.ok("deploy", "counter.py")
    evil = f"$(touch%20/tmp/{MARK});{MARK}"
    paths = [
        f"/v1/apps/{evil}", f"/v1/functions/{evil}/{evil}", f"/v1/calls/{evil}", f"/v1/instances/{evil}", f"/v1/logs?app={evil}&search={evil}",
        f"/v1/volumes/{evil}", f"/v1/volumes/{evil}/files/{evil}", f"/v1/images/{evil}", f"/v1/blobs/{evil}", f"/apps/{evil}", f"/static/{evil}",
    ]  # fmt: skip
    for path in paths:
        for method in ("GET", "PUT", "POST", "DELETE"):
            assert (
                send(
                    home,
                    method,
                    path,
                    json.dumps({"args": [evil], "values": {"K": evil}}).encode(),
                    **{"X-Request-Id": MARK},
                )
                < 500
            )
    send(home, "PUT", f"/v1/secrets/{MARK}", json.dumps({"values": {MARK: evil}}).encode())
    send(home, "PUT", f"/v1/volumes/{MARK}", b"{}")
    send(home, "PUT", f"/v1/volumes/{MARK}/files/{MARK}", b"x")
    send(home, "POST", "/v1/functions/e2e-counter/Counter/add/call", json.dumps({"args": [MARK]}).encode())
    assert [e for e in events(out, 0) if e.startswith(("subprocess", "os."))], "the hook saw no process at all"
    assert not [e for e in events(out, 0) if MARK in e]
    assert not Path(f"/tmp/{MARK}").exists()


def test_stderr_of_a_traceback_never_reaches_a_caller(server: Freehold) -> None:
    request = urllib.request.Request(
        f"{server.url}/v1/apps", data=b'{"spec": 1}', method="POST", headers={"Authorization": f"Bearer {server.token}"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    body = caught.value.read().decode()
    assert caught.value.code == 400
    assert "Traceback" not in body
    assert str(PROGRAMS.parent.parent.parent) not in body
