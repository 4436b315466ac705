"""Modal's settings, as programs look them up."""

from pathlib import Path

import pytest

from freehold.core.errors import InvalidError
from freehold.modal import config as settings
from freehold.modal.config import config


def test_what_the_environment_says_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (config["loglevel"], config.get("force_build"), config.get("serve_timeout")) == ("WARNING", False, None)
    monkeypatch.setenv("MODAL_LOGLEVEL", "debug")
    monkeypatch.setenv("MODAL_FORCE_BUILD", "1")
    monkeypatch.setenv("MODAL_SERVE_TIMEOUT", "5")
    assert (config["loglevel"], config.get("force_build"), config.get("serve_timeout")) == ("DEBUG", True, 5.0)
    assert config.get("loglevel", use_env=False) == "WARNING"
    config.override_locally("loglevel", "error")
    assert config.to_dict()["loglevel"] == "ERROR"


def test_the_server_is_freeholds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEHOLD_SERVER", "http://box:8700")
    monkeypatch.setenv("FREEHOLD_ENVIRONMENT", "staging")
    assert (config["server_url"], config["environment"]) == ("http://box:8700", "staging")


def test_what_is_no_setting_and_what_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyError):
        config["nothing"]
    with pytest.raises(KeyError):
        config.override_locally("nothing", "x")
    monkeypatch.setenv("MODAL_LOGS_TIMEOUT", "long")
    with pytest.raises(InvalidError, match="MODAL_LOGS_TIMEOUT='long'"):
        config["logs_timeout"]


def test_the_profile_is_the_active_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path))
    monkeypatch.delenv("FREEHOLD_PROFILE", raising=False)
    monkeypatch.delenv("MODAL_PROFILE", raising=False)
    assert settings._profile == "local"
    monkeypatch.setenv("MODAL_PROFILE", "acme")
    assert settings._profile == "acme"
