"""Finding a server, and what is said when it is not there, is another version, or does not know us."""

import dataclasses
import os
from pathlib import Path

import pytest
from tests.unit.sdk.fake_server import FakeServer

from freehold.core.errors import AuthError, ConnectionError, NotFoundError, ServiceError, VersionError
from freehold.core.home import Home
from freehold.protocol.schemas import FunctionHandle
from freehold.sdk import client as clients
from freehold.sdk.client import Client
from freehold.sdk.config import Target, discover
from freehold.sdk.http import Api


def test_the_home_tells_where_its_server_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path))
    with pytest.raises(ConnectionError, match=r"no Freehold server runs in .*freehold up --detach"):
        discover({})
    (tmp_path / "server.json").write_text("{}")
    with pytest.raises(AuthError, match=f"cannot read the token's file '{tmp_path}/token'"):
        discover({})
    (tmp_path / "token").write_text("secret\n")
    target = discover({})
    assert (target.api, target.token) == (f"unix:{Home(tmp_path).api_socket}", "secret")
    assert discover({"FREEHOLD_TOKEN": "other"}).token == "other"


def test_instances_and_far_clients_are_told_by_the_environment() -> None:
    inside = discover({"FREEHOLD_API": "unix:/a", "FREEHOLD_LINK": "unix:/l", "FREEHOLD_TOKEN": "t"})
    assert (inside.api, inside.link, inside.token) == ("unix:/a", "unix:/l", "t")
    far = discover({"FREEHOLD_SERVER": "https://gpu.example/", "FREEHOLD_TOKEN": "t"})
    assert (far.api, far.link) == ("https://gpu.example", "wss://gpu.example/v1/link")
    with pytest.raises(ConnectionError, match="is not a URL"):
        discover({"FREEHOLD_SERVER": "gpu.example"})


def test_nobody_there(tmp_path: Path) -> None:
    target = Target(api=f"unix:{tmp_path}/a", link=f"unix:{tmp_path}/l", token="t", token_source="x")
    with pytest.raises(ConnectionError, match="freehold up --detach"):
        Client(target).start()
    with pytest.raises(ConnectionError, match="freehold up --detach"):
        Api(target).get("/v1/status", dict)


def test_a_token_that_is_not_known(server: FakeServer) -> None:
    stranger = dataclasses.replace(server.target, token="wrong", token_source="/home/me/.freehold/token")
    with pytest.raises(AuthError, match=r"does not accept the token from /home/me/\.freehold/token"):
        Client(stranger).start()
    with pytest.raises(AuthError, match=r"/home/me/\.freehold/token: unknown token"):
        Api(stranger).get("/v1/status", dict)


def test_a_server_of_another_version(server: FakeServer) -> None:
    server.protocol = 9
    with pytest.raises(
        VersionError, match=r"^this client speaks protocol 1 and the server speaks 9: [^:]*freehold down[^:]*$"
    ):
        Client(server.target).start()
    with pytest.raises(VersionError, match="speaks 9"):
        Api(server.target).get("/v1/status", dict)


def test_errors_over_http_keep_their_class(server: FakeServer) -> None:
    with pytest.raises(NotFoundError, match="no function"):
        Api(server.target).get("/v1/functions/a/b", FunctionHandle)


def _bad_gateway(*_: object) -> tuple[int, bytes]:
    return 502, b"<html>bad gateway"


def test_an_answer_that_is_no_json(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "handle", _bad_gateway)
    with pytest.raises(ServiceError, match="answered 502 Bad Gateway: <html>"):
        Api(server.target).get("/v1/status", dict)


def test_a_forked_child_has_a_client_of_its_own(server: FakeServer) -> None:
    clients.current().start()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if clients._current is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert clients.current().ready


def test_a_dead_client_is_replaced(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    old = clients.current()
    old.close()
    monkeypatch.setattr(clients, "discover", lambda: server.target)
    new = clients.current()
    assert new is not old
    new.start()
    new.close()
