"""Profiles: one command line, several servers."""

import json

from tests.e2e.harness import Freehold, MakeHome


def test_a_profile_reaches_a_server_elsewhere(server: Freehold, make_home: MakeHome) -> None:
    away = make_home()
    kept = away("token", "set", "--profile", "box", "--server", server.url, stdin=server.token)
    assert kept.returncode == 0, kept.stderr
    assert away.ok("profile", "current") == "box\n"
    assert away.json("status")["url"] == server.url
    assert server.token not in away.ok("profile", "list") + away.ok("token", "info")
    assert (away.home / "profiles.toml").stat().st_mode & 0o077 == 0
    away.ok("profile", "activate", "local")
    assert away("status").returncode == 3  # no server in its own home
    assert away("--profile", "box", "status").returncode == 0
    rows = json.loads(away.ok("profile", "list", "--json"))
    assert [(r["name"], r["active"]) for r in rows] == [("local", True), ("box", False)]


def test_what_cannot_be_a_profile_is_refused(server: Freehold, make_home: MakeHome) -> None:
    away = make_home()
    wrong = away("token", "set", "--profile", "box", "--server", server.url, "--token-secret", "wrong")
    assert wrong.returncode == 5
    assert "profile 'box'" in wrong.stderr
    assert not (away.home / "profiles.toml").exists()
    assert away("token", "set", "--server", "gpu-box", "--token-secret", "x").returncode == 3
    assert (
        away("token", "set", "--profile", "local", "--server", server.url, "--token-secret", server.token).returncode
        == 2
    )
    missing = away("--profile", "bx", "status")
    assert missing.returncode == 4
    assert "no profile 'bx'" in missing.stderr
    (away.home / "profiles.toml").write_text("active = ")
    assert "cannot be read as TOML" in away("status").stderr
