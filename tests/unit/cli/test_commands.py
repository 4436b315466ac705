"""The commands that programs find first on their PATH."""

import os
import subprocess
from pathlib import Path

import pytest

from freehold.cli import commands
from freehold.core.home import Home


def test_both_stand_first_once_and_are_this_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    home = Home(tmp_path / "a home")
    commands.front(home)
    commands.front(home)
    assert os.environ["PATH"] == f"{home.commands}:/usr/bin:/bin"
    (tmp_path / "concurrent.py").write_text("raise SystemExit(7)\n")
    for name in ("modal", "freehold"):
        done = subprocess.run([name, "--version"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert "freehold" in done.stdout.lower()


def test_what_another_installation_wrote_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    home = Home(tmp_path)
    commands.front(home)
    ours = (home.commands / "modal").read_text()
    (home.commands / "modal").write_text("#!/bin/sh\nexit 9\n")
    commands.front(home)
    assert (home.commands / "modal").read_text() == ours
    assert sorted(p.name for p in home.commands.iterdir()) == ["freehold", "modal"]
