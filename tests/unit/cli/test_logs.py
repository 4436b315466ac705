"""Parts of lines put together again."""

from freehold.cli.logs import as_text
from freehold.protocol.schemas import LogLine
from freehold.sdk.tail import Joined


def line(message: str, ending: str = "\n", instance: str = "in-1") -> LogLine:
    return LogLine(
        timestamp="", level="info", message=message, logger="", service="", type="training", instance=instance, stream="stdout", ending=ending
    )  # fmt: skip


def shown(*lines: LogLine) -> str:
    joined = Joined()
    return "".join(joined.before(one) + one.message + one.ending for one in lines) + joined.rest


def test_text_is_shown_as_it_was_written() -> None:
    assert shown(line(".", ""), line(".", ""), line("done"), line("10%", "\r"), line("20%")) == "..done\n10%\r20%\n"


def test_what_another_instance_writes_stands_alone() -> None:
    assert shown(line("a", ""), line("b", instance="in-2"), line("c")) == "a\nb\nc\n"


def test_an_open_line_is_ended() -> None:
    assert shown(line("a", "")) == "a\n"


def test_a_traceback_stands_below_its_event() -> None:
    extra = {"error.stack": "Traceback …\nValueError: no\n", "n": 3}
    event = LogLine(timestamp="", level="error", message="failed", logger="x", service="", type="training", extra=extra)
    assert as_text(event).plain == "error   failed n=3\nTraceback …\nValueError: no"
