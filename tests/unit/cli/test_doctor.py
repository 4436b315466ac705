"""What `freehold doctor` finds, and whether its fix fits."""

import contextlib
import json
import os
import resource
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import typer

from freehold.cli import doctor as module
from freehold.cli.doctor import doctor


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def found(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    with contextlib.suppress(typer.Exit):  # something needed is missing
        doctor(as_json=True)
    return {f["check"]: f for f in json.loads(capsys.readouterr().out)}


def test_a_machine_without_a_home_yet_is_fine(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checks = found(capsys)
    assert checks["home"]["verdict"] == "ok"
    assert checks["server"]["fix"] == "freehold up --detach"
    assert "database" not in checks
    assert not home.exists()
    assert all(f["fix"] for f in checks.values() if f["verdict"] != "ok")


def test_a_home_that_is_no_folder_fails(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.touch()
    home_check = found(capsys)["home"]
    assert home_check["verdict"] == "fail"
    assert "FREEHOLD_HOME" in home_check["fix"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's folder")
def test_another_users_home_fails(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.mkdir()
    os.chown(home, 65534, 65534)
    assert "65534" in found(capsys)["home"]["found"]


def test_a_damaged_database_fails(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.mkdir()
    with sqlite3.connect(home / "freehold.db") as db:
        db.execute("CREATE TABLE t (x)")
        db.executemany("INSERT INTO t VALUES (?)", [("x" * 1000,)] * 100)
    db.close()
    assert found(capsys)["database"]["verdict"] == "ok"
    os.truncate(home / "freehold.db", 8192)
    damaged = found(capsys)["database"]
    assert damaged["verdict"] == "fail"
    assert "backup" in damaged["fix"]


@pytest.mark.usefixtures("home")
def test_low_limits_are_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def low(_number: int) -> tuple[int, int]:
        return 64, 64

    monkeypatch.setattr(resource, "getrlimit", low)
    checks = found(capsys)
    assert "ulimit -n" in checks["files"]["fix"]
    assert "ulimit -u" in checks["processes"]["fix"]


@pytest.mark.usefixtures("home")
def test_no_bubblewrap_and_no_uv_come_with_their_fix(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(module.sys, "executable", str(tmp_path / "python"))
    checks = found(capsys)
    assert checks["uv"]["fix"].startswith("pip install uv")
    if checks["bubblewrap"]["verdict"] != "ok":  # it may have come as a wheel
        assert "apt-get install bubblewrap" in checks["bubblewrap"]["fix"]
