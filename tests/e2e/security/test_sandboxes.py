"""S: a sandbox on the machine's own network and a running server: it has no token, and finds none."""

import json
import re
from pathlib import Path

import pytest
from tests.e2e.harness import Freehold

from freehold.core.home import Home
from freehold.launchers.process import jail
from freehold.server.api.auth import TABLE, Access

PROGRAMS = Path(__file__).parents[2] / "compat" / "programs"


def test_it_reaches_no_route_that_needs_somebody_and_no_file_of_the_server(server: Freehold, tmp_path: Path) -> None:
    bwrap, _, why = jail.find(tmp_path)
    if bwrap is None:
        pytest.skip(why)
    home = Home(server.home)
    routes = [key for key in TABLE if not key.startswith("WS ")]
    asked = {re.sub(r"\{[^}]*\}", "x", key): TABLE[key] for key in routes}
    paths = [
        home.root,
        home.token,
        home.key,
        home.run,
        home.api_socket,
        home.link_socket,
        home.arena,
        home.database,
        home.instances,
    ]
    done = server("python", "sandbox_held.py", server.url, json.dumps(list(asked)), *map(str, paths), cwd=PROGRAMS)
    assert done.returncode == 0, done.stderr
    answers, variables, seen = (json.loads(line) for line in done.stdout.splitlines()[:3])
    let_in = {key for key, status in answers.items() if status not in (401, 403)}
    open_to_all = {key for key, access in asked.items() if access in (Access.PUBLIC, Access.LOCAL)}
    assert let_in <= open_to_all
    # beside health and the sign-in form: numbers, with the names of apps and functions
    assert {k for k in open_to_all if asked[k] is Access.LOCAL} == {"GET /metrics"}
    assert [v for v in variables if v != "MODAL_SANDBOX_ID"] == []
    assert seen == []
