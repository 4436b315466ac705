"""JSON lines: their fields, what never stands in them, and files that cannot be written."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from freehold.telemetry import context
from freehold.telemetry.files import LogFile
from freehold.telemetry.logging import JsonFormatter, LogFileHandler, LoggingConfig, RequestLog, configure, scrub

log = logging.getLogger("freehold.test")


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Path]:
    restore = configure(LoggingConfig(logs=tmp_path, level="debug"))
    yield tmp_path
    restore()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_carries_the_fields_that_logs_share(logs: Path) -> None:
    with context.serving("rq-1", "00-" + "a" * 32 + "-" + "b" * 16 + "-01") as trace:
        log.warning("disk_slow", extra={"duration_ms": 12.5, "app": "shop", "level": "mine", "path": Path("/x")})
    (line,) = lines(logs / "system/server.jsonl")
    assert len(line.pop("timestamp")) == 27
    assert trace.trace_id == "a" * 32
    assert line == {
        "level": "warning", "message": "disk_slow", "logger": "freehold.test", "service": "freehold", "type": "system",
        "request_id": "rq-1", "trace_id": "a" * 32, "span_id": trace.span_id, "duration_ms": 12.5, "app": "shop",
        "extra.level": "mine", "path": "PosixPath('/x')",
    }  # fmt: skip


def test_an_exception_has_its_type_and_stack(logs: Path) -> None:
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        log.exception("tick_failed")
    (line,) = lines(logs / "system/server.jsonl")
    assert line["error.type"] == "ZeroDivisionError"
    assert "test_logging.py" in line["error.stack"]


def test_secrets_are_never_written(logs: Path) -> None:
    canary = "hunter2-canary"
    log.info(
        "connect to postgres://me:%s@db/x", canary, extra={"token": canary, "API_KEY": canary, "headers": {"a": 1}}
    )
    log.info("sent Authorization: Bearer %s", canary, extra={"secrets": {"A": canary}, "url": f"https://u:{canary}@h/"})
    try:
        raise ValueError(f"bearer {canary}")  # noqa: TRY301
    except ValueError:
        log.exception("refused")
    text = (logs / "system/server.jsonl").read_text()
    assert canary not in text
    assert text.count("[redacted]") == 7


def test_scrub_leaves_the_rest() -> None:
    assert scrub("basic facts, bearer of news, http://host:80/a@b") == "basic facts, bearer of news, http://host:80/a@b"


def test_odd_values_pass(logs: Path) -> None:
    log.info("lone \ud800 surrogate %s", {1: object}, extra={"nan": float("nan"), "text": "\udfff", "set": {1}})
    assert lines(logs / "system/server.jsonl")[0]["text"] == "?"


def test_the_console_is_for_a_person_or_a_collector() -> None:
    for as_json in (False, True):
        console = io.StringIO()
        restore = configure(LoggingConfig(console=console, json_console=as_json))
        log.info("server_ready", extra={"url": "http://x"})
        log.debug("unseen")
        restore()
        (line,) = console.getvalue().splitlines()
        assert (
            (json.loads(line)["url"] == "http://x") if as_json else line.endswith("info    server_ready url=http://x")
        )


def test_a_full_disk_does_not_fail_the_caller(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = LogFile(tmp_path / "x.jsonl", max_bytes=100, keep=1)
    file.close()  # every write fails now
    handler = LogFileHandler(file, JsonFormatter("freehold"))
    for _ in range(3):
        handler.emit(logging.makeLogRecord({"msg": "lost"}))
    assert capsys.readouterr().err.count("cannot write") == 1


def test_requests_are_written_together(tmp_path: Path) -> None:
    due: list[Callable[[], None]] = []
    requests = RequestLog(tmp_path, call_later=lambda _s, f: due.append(f))
    for status in (200, 404, 500):
        requests.write(
            method="GET", handler="/v1/apps/{name}", status=status, duration_ms=1.23456, request_id="rq-1", error=""
        )
    assert len(due) == 1
    assert (tmp_path / "api/requests.jsonl").read_bytes() == b""
    due[0]()
    found = lines(tmp_path / "api/requests.jsonl")
    assert [(x["level"], x["status"], x["duration_ms"], x["type"]) for x in found] == [
        ("info", 200, 1.235, "api"), ("warning", 404, 1.235, "api"), ("error", 500, 1.235, "api"),
    ]  # fmt: skip
    assert "error" not in found[0]
    requests.close()


def test_telemetry_costs_the_start_of_a_server_little() -> None:
    code = "import sys, freehold.telemetry.logging, freehold.telemetry.metrics, freehold.telemetry.context\n"
    code += "print([m for m in ('prometheus_client', 'structlog', 'opentelemetry') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
