"""Secrets."""

from pathlib import Path

import pytest

import freehold
from freehold.core.errors import InvalidError
from freehold.sdk.secret import parse_dotenv


def test_by_name_and_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    assert freehold.Secret.from_name("hf", required_keys=["TOKEN"]).spec.required_keys == ("TOKEN",)
    assert freehold.Secret.from_dict({"A": "1", "B": None}).spec.values == {"A": "1"}
    monkeypatch.setenv("HERE", "yes")
    assert freehold.Secret.from_local_environ(["HERE"]).spec.values == {"HERE": "yes"}
    with pytest.raises(InvalidError, match="NOT_HERE is not set"):
        freehold.Secret.from_local_environ(["HERE", "NOT_HERE"])
    with pytest.raises(InvalidError, match="the value of 'A' is of type int"):
        freehold.Secret.from_dict({"A": 1})  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidError, match="cannot name a secret"):
        freehold.Secret.from_name("")


def test_values_are_never_shown() -> None:
    assert "hush" not in repr(freehold.Secret.from_dict({"A": "hush"}))


def test_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# c\nA=1\nexport B='two # 2'\nC=\"x\\ny\"\nD=four # note\n\nnonsense\n")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    wanted = {"A": "1", "B": "two # 2", "C": "x\ny", "D": "four"}
    assert freehold.Secret.from_dotenv(below).spec.values == wanted
    assert freehold.Secret.from_dotenv(tmp_path / ".env").spec.values == wanted
    assert parse_dotenv("A=") == {"A": ""}
    with pytest.raises(InvalidError, match=r"no '\.nope' in"):
        freehold.Secret.from_dotenv(tmp_path, filename=".nope")


def test_inside_an_instance_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEHOLD_REMOTE", "1")
    assert freehold.Secret.from_local_environ(["NOT_HERE"]).spec.values == {}
    assert freehold.Secret.from_dotenv("/nowhere").spec.values == {}
