"""S1: every route of a real server, with every kind of credential."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.harness import Freehold
from tests.e2e.security.raw import ROUTES, ask, call_of, dial
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from freehold.core.home import Home
from freehold.protocol.frames import Cancel, Hello, Join, Refused
from freehold.protocol.version import PROTOCOL_VERSION
from freehold.server.api.auth import SESSION_COOKIE, SESSION_S, Access, Authority
from freehold.server.services.secrets import Secrets

_NO_STORE: Any = None
OPEN = {key for key, access in ROUTES.items() if access in (Access.PUBLIC, Access.LOCAL)}
CLOSED = sorted(key for key in ROUTES if key not in OPEN and not key.startswith("WS"))
TELL = """
import os, sys, freehold
app = freehold.App("teller")
@app.function(serialized=True)
def tell(): return os.environ["FREEHOLD_TOKEN"]
with app.run():
    print(tell.remote(), flush=True)
    sys.stdin.read()
"""


def session(home: Freehold, *, age_s: float = 0.0, key: bytes | None = None) -> dict[str, str]:
    """A cookie that a browser would show, made so long ago."""
    key = key or Secrets(Home(home.home), _NO_STORE).signing_key
    made = Authority(token=home.token, key=key, now=lambda: time.time() - age_s).new_session()
    return {"Cookie": f"{SESSION_COOKIE}={made}"}


def strangers(home: Freehold) -> dict[str, dict[str, str]]:
    """Credentials that open nothing."""
    return {
        "none": {},
        "wrong": {"Authorization": "Bearer wrong"},
        "empty": {"Authorization": "Bearer "},
        "cut": {"Authorization": f"Bearer {home.token[:-1]}"},
        "basic": {"Authorization": f"Basic {home.token}"},
        "expired": session(home, age_s=SESSION_S + 1),
        "foreign": session(home, key=b"another home's key"),
        "token as cookie": {"Cookie": f"{SESSION_COOKIE}={home.token}"},
    }


def opens(home: Freehold, key: str, headers: dict[str, str]) -> bool:
    """Tell whether this route lets one in, whatever it says then."""
    return ask(home, *call_of(key), headers).status not in (401, 403)


def test_s1_a_session_that_has_not_ended_is_let_in(server: Freehold) -> None:
    assert ask(server, "GET", "/v1/status", session(server)).status == 200


@pytest.mark.parametrize("kind", ["none", "wrong", "empty", "cut", "basic", "expired", "foreign", "token as cookie"])
def test_s1_no_route_lets_a_stranger_in(server: Freehold, kind: str) -> None:
    shown = strangers(server)[kind]
    assert [key for key in CLOSED if ask(server, *call_of(key), shown).status != 401] == []
    # the folder of static files is no file; a form without the token signs nobody in
    assert {key for key in OPEN if not opens(server, key, shown)} == {"GET /static", "POST /login"}
    url = f"ws://127.0.0.1:{server.port}/v1/link"
    with pytest.raises(InvalidStatus) as refused:
        connect(url, additional_headers=shown, proxy=None)
    assert refused.value.response.status_code == 401


def test_s1_a_stranger_on_the_links_socket_is_refused(server: Freehold) -> None:
    first = (
        Hello("wrong", PROTOCOL_VERSION),
        Hello("", PROTOCOL_VERSION),
        Hello(server.token[:-1], PROTOCOL_VERSION),
        Join("wrong", PROTOCOL_VERSION, "in-1", 1),
        Join(server.token, PROTOCOL_VERSION, "in-1", 1),  # the owner is no instance
        Cancel("fc-1"),
    )
    for message in first:
        with dial(server) as link:
            link.send(message, Cancel("fc-1"))
            [answer] = link.receive()
            assert isinstance(answer, Refused)
            assert answer.code == "unauthenticated"
            with pytest.raises(EOFError):
                link.receive()


@pytest.fixture
def teller(server: Freehold, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A program that prints the token of an instance, and keeps that instance until its stdin ends."""
    with subprocess.Popen(
        [sys.executable, "-c", TELL], env=server.env, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:  # fmt: skip
        yield program


def test_s1_an_instance_reaches_what_clients_may_and_nothing_once_it_is_gone(
    server: Freehold, teller: "subprocess.Popen[str]"
) -> None:
    assert teller.stdout is not None
    shown = {"Authorization": f"Bearer {teller.stdout.readline().strip()}"}
    for key in CLOSED:
        assert opens(server, key, shown) == (ROUTES[key] is Access.CLIENT), key
    teller.communicate(timeout=30)
    deadline = time.monotonic() + 10
    while opens(server, "GET /v1/status", shown):
        assert time.monotonic() < deadline, "the token outlives its instance"
        time.sleep(0.05)
    assert [key for key in CLOSED if opens(server, key, shown)] == []
