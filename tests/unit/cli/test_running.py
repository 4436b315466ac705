"""How a program's warnings are shown."""

import warnings
from pathlib import Path

import pytest

import freehold.sdk
from freehold.cli.running import show_warnings


def test_a_warning_without_a_line_of_the_users_is_a_message(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    def show(message: str, *_: object) -> None:
        shown.append(message)

    monkeypatch.setattr(warnings, "showwarning", show)
    show_warnings()
    ours = str(Path(freehold.sdk.__file__).with_name("app.py"))
    warnings.showwarning("beside the program", UserWarning, ours, 3)
    warnings.showwarning("of the user's", UserWarning, "program.py", 3)
    assert capsys.readouterr().err == "warning: beside the program\n"
    assert shown == ["of the user's"]
