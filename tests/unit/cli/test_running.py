"""How a program's warnings and errors are shown."""

import warnings
from pathlib import Path

import pytest

import freehold.sdk
from freehold.cli.errors import ExitCode
from freehold.cli.running import expect_program, report_user_error
from freehold.core.errors import ConnectionError, InvalidError


def test_a_warning_without_a_line_of_the_users_is_a_message(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    def show(message: str, *_: object) -> None:
        shown.append(message)

    monkeypatch.setattr(warnings, "showwarning", show)
    expect_program()
    ours = str(Path(freehold.sdk.__file__).with_name("app.py"))
    warnings.showwarning("beside the program", UserWarning, ours, 3)
    warnings.showwarning("of the user's", UserWarning, "program.py", 3)
    assert capsys.readouterr().err == "warning: beside the program\n"
    assert shown == ["of the user's"]


def test_a_server_that_left_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    error = ConnectionError("no server answers: start one")
    error.__cause__ = ConnectionRefusedError("refused")
    assert report_user_error(error) is ExitCode.CONNECTION
    assert capsys.readouterr().err == "error: no server answers: start one\n"


def test_what_no_code_of_the_users_raised_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert report_user_error(InvalidError("--write-result takes str or bytes")) is ExitCode.USAGE
    assert capsys.readouterr().err == "error: --write-result takes str or bytes\n"
    far = InvalidError("mine")
    far.add_note("Remote traceback (most recent call last):")
    report_user_error(far)
    assert capsys.readouterr().err.startswith("freehold.core.errors.InvalidError: mine\n")
