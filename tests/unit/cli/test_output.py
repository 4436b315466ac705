"""What commands print, and the codes they end with."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from freehold.cli import output
from freehold.cli.ask import moment
from freehold.cli.errors import ExitCode, exit_code_of
from freehold.cli.instance import waterfall
from freehold.cli.logs import as_text
from freehold.cli.output import Column, ago, ahead, duration, listing, size
from freehold.core import errors
from freehold.core.states import InstanceState
from freehold.protocol.schemas import InstanceView, LogLine


@dataclass(frozen=True)
class Row:
    name: str
    tags: tuple[str, ...] = ()


@pytest.fixture(autouse=True)
def _fresh_consoles() -> None:  # pyright: ignore[reportUnusedFunction]
    output.stdout.cache_clear()
    output.stderr.cache_clear()


def test_a_listing_is_a_table_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    columns: list[Column[Row]] = [Column("NAME", lambda r: r.name), Column("TAGS", lambda r: r.tags)]
    listing([Row("[bold]", ("a", "b"))], columns, as_json=False, empty="none")
    shown = capsys.readouterr().out
    assert "[bold]" in shown
    assert "a, b" in shown
    listing([Row("x")], columns, as_json=True, empty="none")
    assert json.loads(capsys.readouterr().out) == [{"name": "x", "tags": []}]
    listing([], columns, as_json=False, empty="nothing here")
    said = capsys.readouterr()
    assert said.out == ""
    assert "nothing here" in said.err


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, ""),
        (0.00034, "340 µs"),
        (0.012, "12 ms"),
        (4.2, "4.2 s"),
        (45, "45 s"),
        (180, "3 min"),
        (18_000, "5 h"),
        (200_000, "2 d"),
        (-3600.0, "0 µs"),
    ],
)
def test_durations(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


def test_sizes_and_ages() -> None:
    assert [size(n) for n in (None, 12, 2048, 5 * 2**30)] == ["", "12 B", "2.0 KiB", "5.0 GiB"]
    assert ago(None) == ""
    assert ago(time.time() - 200) == "3 min ago"


@pytest.fixture
def _in_seoul(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_in_seoul")
def test_a_time_without_an_offset_is_local_as_it_is_shown() -> None:
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()
    assert moment("2026-01-31T21:00", "--since") == noon
    assert moment("2026-01-31T12:00:00+00:00", "--since") == noon


def test_what_is_to_come() -> None:
    assert ahead(None) == ""
    assert ahead(time.time() - 1) == "now"
    assert ahead(time.time() + 300.5) == "in 5 min"


def test_moments() -> None:
    assert moment(None, "--since") is None
    assert moment("10m", "--since") == pytest.approx(time.time() - 600, abs=5)
    assert moment("2026-01-31T12:00:00Z", "--since") == datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()
    with pytest.raises(errors.InvalidError, match="--since='soon'"):
        moment("soon", "--since")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConnectionError("x"), ExitCode.CONNECTION), (errors.VersionError("x"), ExitCode.CONNECTION),
        (errors.NotFoundError("x"), ExitCode.NOT_FOUND), (errors.AuthError("x"), ExitCode.AUTH),
        (errors.PermissionDeniedError("x"), ExitCode.AUTH), (errors.InvalidError("x"), ExitCode.USAGE),
        (errors.ConflictError("x"), ExitCode.CONFLICT), (errors.AlreadyExistsError("x"), ExitCode.CONFLICT),
        (errors.ResourceExhaustedError("x"), ExitCode.EXHAUSTED), (errors.ImageBuildError("x"), ExitCode.PROGRAM),
        (errors.StartError("x"), ExitCode.PROGRAM), (errors.FunctionTimeoutError("x"), ExitCode.PROGRAM),
        (errors.TimeoutError("x"), ExitCode.TIMEOUT), (errors.InternalError("x"), ExitCode.SERVER), (errors.Error("x"), ExitCode.SERVER),
    ],
)  # fmt: skip
def test_every_error_has_its_exit_code(error: errors.Error, code: ExitCode) -> None:
    assert exit_code_of(error) == code


def test_a_waterfall_puts_each_phase_where_the_last_one_ended() -> None:
    view = InstanceView(
        id="in-1", app_id="ap-1", app="a", function_id="fu-1", function="f", version=1, state=InstanceState.IDLE, created=0, ready=1,
        ended=None, reason=None, pid=1, running=0, slots=1, devices=(), phases={"queue": 1.0, "fork": 1.0, "enter": 2.0}, cpu=1, memory_mib=1,
    )  # fmt: skip
    bars = [str(cell) for cell in waterfall(view).columns[1]._cells]
    assert [len(bar) - len(bar.lstrip()) for bar in bars[:3]] == [0, 10, 20]
    assert [bar.count("█") for bar in bars[:3]] == [10, 10, 20]


def test_log_lines_read_as_they_were_written() -> None:
    line = LogLine(
        timestamp="2026-01-31T12:00:00.123456+00:00",
        level="info",
        message="[step] 1",
        logger="",
        service="a",
        type="training",
        stream="stdout",
    )
    assert str(as_text(line)) == "[step] 1"
    assert str(as_text(line, timestamps=True)).endswith(".123 [step] 1")
    event = LogLine(
        timestamp=line.timestamp,
        level="warning",
        message="slow",
        logger="l",
        service="a",
        type="system",
        extra={"took": 3},
    )
    assert str(as_text(event)) == "warning slow took=3"
