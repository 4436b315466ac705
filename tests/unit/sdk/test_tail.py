"""How log lines are printed as plain text."""

import pytest

from freehold.protocol.schemas import LogLine
from freehold.sdk import output
from freehold.sdk.running import Silent
from freehold.sdk.tail import Plain


def line(message: str, **more: object) -> LogLine:
    fields = {
        "timestamp": "",
        "level": "info",
        "message": message,
        "logger": "",
        "service": "instance",
        "type": "training",
    }
    return LogLine(**(fields | more))  # type: ignore[arg-type]


def test_lines_go_to_their_streams_as_they_were_written(capsys: pytest.CaptureFixture[str]) -> None:
    show = Plain()
    show(line("half", stream="stdout", instance="a", ending=""))
    show(line("other", stream="stdout", instance="b"))
    show(line("warned", stream="stderr"))
    show(line("failed", level="error", extra={"n": 3, "app_id": "x", "error.stack": "ValueError: no\n"}))
    shown = capsys.readouterr()
    assert shown.out == "half\nother\n"
    assert shown.err == "warned\nerror   failed n=3\nValueError: no\n"


def test_output_is_wanted_inside_the_block_only() -> None:
    assert isinstance(output.progress(), Silent)
    assert output.tail("ap-1") is None
    with output.enable_output():
        assert not isinstance(output.progress(), Silent)
        with output.enable_output(show_progress=False):
            assert isinstance(output.progress(), Silent)
        assert not isinstance(output.progress(), Silent)
    assert isinstance(output.progress(), Silent)
