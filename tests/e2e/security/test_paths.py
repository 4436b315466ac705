"""S6: paths that want to lead out, at every place of a real server that takes one, by HTTP and by the command line."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.e2e.harness import Freehold, MakeHome
from tests.e2e.security.raw import as_owner, ask, files_of
from tests.unit.volumes.test_volumes import CORPUS

SECRET = "what lies outside of every root"
NAMES = ["token", "key", "freehold.db", "server.json", "canary"]
UPS = ["../", "../../", "../../../", "../../../../", "..%2f..%2f", "%2e%2e/%2e%2e/", "%252e%252e%252f", "..\\..\\", "..;/", "....//", "/"]  # fmt: skip
TRAVERSALS = [up + name for up in UPS for name in NAMES] + [
    "../../../../../../etc/passwd",
    "%00",
    "..%00/canary",
    "/etc/passwd",
]
PLACES = [
    "/v1/volumes/v/files/{}", "/v1/volumes/v/list?path={}", "/v1/volumes/{}", "/v1/volumes/{}/list", "/v1/volumes/{}/files/canary",
    "/v1/blobs/{}", "/v1/images/{}", "/v1/apps/{}", "/v1/calls/{}", "/v1/instances/{}", "/v1/secrets/{}", "/static/{}",
    "/v1/logs?app={}", "/v1/logs?instance={}", "/v1/logs?type={}", "/volumes/v/browse/{}", "/volumes/v/file/{}", "/logs?app={}", "/{}",
]  # fmt: skip
MOVING = {
    "logs",
    "run",
    "arena",
    "instances",
    "freehold.db",
    "freehold.db-wal",
    "freehold.db-shm",
    "freehold.db.mark",
    "scratch",
}


@pytest.fixture(scope="module")
def home(make_home: MakeHome) -> Iterator[Freehold]:
    """A server with a volume, and canaries at every level above its files."""
    home = make_home()
    home.ok("up", "--detach")
    home.ok("volume", "create", "v")
    files = home.home / "volumes" / "main" / "v" / "files"
    files.mkdir(exist_ok=True)
    for folder in (files.parent, files.parent.parent, files.parent.parent.parent, home.home, home.home / "logs"):
        (folder / "canary").write_text(SECRET)
    (files / "link").symlink_to("..")
    (files / "file-link").symlink_to("../canary")
    (files / "absolute-link").symlink_to(home.home / "canary")
    yield home
    home.ok("down")


def outside(home: Freehold) -> dict[str, str]:
    """Digests of all files that are no volume's and that the server does not write by itself."""
    files = home.home / "volumes" / "main" / "v" / "files"
    return {
        str(path): sha256(content).hexdigest()
        for path, content in files_of(home)
        if files not in path.parents
        and path.relative_to(home.home).parts[0] not in MOVING
        and "images" not in path.parts
    }


def given_away(home: Freehold, text: str) -> bool:
    return SECRET in text or home.token in text or "root:x:0" in text or "SQLite format" in text


@pytest.mark.parametrize("place", PLACES)
def test_s6_no_path_of_a_request_leads_out(home: Freehold, place: str) -> None:
    before = outside(home)
    words = [*TRAVERSALS, *(quote(word, safe="") for word in [*TRAVERSALS, *CORPUS]), *(quote(word) for word in CORPUS)]
    for word in words:
        path = place.format(word)
        if any(c in path for c in "\0\r\n ") or len(path) > 8000:
            continue  # no request line can carry it but encoded, and so it was
        for method in ("GET", "PUT", "DELETE"):
            if method != "GET" and not place.startswith(("/v1/volumes/v/files", "/v1/blobs")):
                continue
            answer = ask(home, method, path, as_owner(home), b"planted" if method == "PUT" else b"")
            assert answer.status < 500, (method, path)
            assert not given_away(home, answer.text), (method, path)
    assert outside(home) == before


@pytest.mark.slow
def test_s6_no_path_of_a_command_leads_out(home: Freehold, tmp_path: Path) -> None:
    before = outside(home)
    planted = tmp_path / "planted"
    planted.write_text("planted")
    out = tmp_path / "got"
    commands = [["app", "logs"], ["instance", "logs"], ["call", "show"], ["volume", "ls"]]
    tries = [[*words, word] for words in commands for word in ("../canary", "../../../token")]
    for word in ("../../../canary", "/etc/passwd", "link/canary", "absolute-link"):
        tries += [
            ["volume", "get", "v", word, str(out)],
            ["volume", "put", "v", str(planted), word],
            ["volume", "rm", "v", word],
        ]
    for words in tries:
        done = home(*words)
        assert "Traceback" not in done.stderr, words
        assert not given_away(home, done.stdout + done.stderr), words
    got = [p.read_text() for p in (out, *out.rglob("*")) if p.is_file()]
    assert not [text for text in got if given_away(home, text)]
    assert outside(home) == before
