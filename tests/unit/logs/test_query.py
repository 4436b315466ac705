"""Queries over rotated files of several apps: filters, order, tails, search."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from freehold.protocol.schemas import LogLine
from freehold.server.logs.query import query
from freehold.server.logs.words import LogQuery
from freehold.telemetry.lines import timestamp

BEGIN = 1_763_712_000.0


def line(n: int, **fields: Any) -> dict[str, Any]:
    base = {
        "timestamp": timestamp(BEGIN + n).decode(),
        "level": "info",
        "message": f"line {n}",
        "type": "training",
        "app": "shop",
    }
    return base | {"app_id": "ap-1", "function": "price", "instance": f"in-{n % 3}", "seq": n} | fields


def write(path: Path, lines: list[dict[str, Any]], end: str = "\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(json.dumps(x, separators=(",", ":"), ensure_ascii=False) + "\n" for x in lines).removesuffix("\n") + end
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "training/shop.jsonl.2", [line(n) for n in range(100)])
    write(tmp_path / "training/shop.jsonl.1", [line(n) for n in range(100, 200)])
    write(tmp_path / "training/shop.jsonl", [line(n) for n in range(200, 250)])
    web = {
        "app": "web",
        "app_id": "ap-2",
        "type": "inference",
        "function": "Ocr.predict",
        "call": "fc-7",
        "request_id": "abc123",
    }
    write(tmp_path / "inference/web.jsonl", [line(n, **web) for n in range(0, 250, 25)])
    return tmp_path


def numbers(root: Path, **which: Any) -> list[int]:
    return [x.seq for x in query(root, LogQuery(**which))]


def test_parts_are_read_oldest_first_and_logs_are_merged_by_time(root: Path) -> None:
    assert numbers(root, app="shop") == list(range(250))
    merged = numbers(root)
    assert merged == sorted(merged)
    assert len(merged) == 260
    assert numbers(root, app="no") == numbers(root, types=("api",)) == []


def test_filters(root: Path) -> None:
    assert numbers(root, app="shop", instance="in-1") == list(range(1, 250, 3))
    web = list(range(0, 250, 25))
    for which in (
        {"app_id": "ap-2"},
        {"function": "Ocr"},
        {"function": "Ocr.predict"},
        {"call": "fc-7"},
        {"request_id": "abc123"},
    ):
        assert numbers(root, **which) == web
    assert numbers(root, function="Oc") == numbers(root, level="error") == numbers(root, call="fc-") == []
    assert numbers(root, app="shop", since=BEGIN + 99, until=BEGIN + 101) == [99, 100, 101]


def test_search_takes_any_case_and_the_events_fields(root: Path) -> None:
    write(
        root / "training/more.jsonl",
        [
            line(1, message="ÜBER Straße"), line(2, message='say "Hi"\\'), line(3, message="x", **{"error.type": "ValueError"}),
            line(4, message="an instance", call="fc-hidden"),
        ],
    )  # fmt: skip
    assert numbers(root, app="shop", search="LINE 24") == [24, *range(240, 250)]
    assert numbers(root, search="über") == [1]
    assert numbers(root, search='SAY "hi"\\') == [2]
    assert numbers(root, search="valueerror") == [3]
    assert numbers(root, search="fc-hidden") == numbers(root, search="training") == []


@pytest.mark.parametrize("tail", [0, 1, 49, 50, 51, 150, 151, 249, 250, 300])
def test_the_tail_is_the_end_of_the_whole(root: Path, tail: int) -> None:
    assert numbers(root, app="shop", tail=tail) == list(range(250))[max(0, 250 - tail) :]
    assert numbers(root, tail=tail) == numbers(root)[max(0, 260 - tail) :]


def test_the_tail_over_blocks_and_lines_of_every_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(5)
    lines = [line(n, message="x" * rng.choice([0, 1, 10, 300, 5000])) for n in range(300)]
    write(tmp_path / "training/shop.jsonl", lines)
    for block in (1, 7, 64, 1000, 4096):
        monkeypatch.setattr("freehold.server.logs.query._BLOCK", block)
        assert numbers(tmp_path, tail=40 if block == 1 else 1000) == list(range(300))[-40 if block == 1 else 0 :]


def test_lines_that_are_torn_or_none_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    good = json.dumps(line(1), separators=(",", ":"))
    (tmp_path / "training/shop.jsonl").write_bytes(
        f"{good}\nrubbish\n\n[1]\n\xff\n{good}\n{good[:50]}".encode("latin-1")
    )
    assert numbers(tmp_path) == [1, 1]
    assert numbers(tmp_path, tail=5) == [1, 1]


def test_what_is_no_field_of_a_line_is_extra(tmp_path: Path) -> None:
    write(tmp_path / "api/requests.jsonl", [line(1, type="api", status=200, duration_ms=1.5)])
    (found,) = query(tmp_path, LogQuery())
    assert isinstance(found, LogLine)
    assert found.extra == {"app_id": "ap-1", "status": 200, "duration_ms": 1.5}


def test_lines_of_one_stream_or_of_the_system(tmp_path: Path) -> None:
    streams = ["stdout", "stderr", ""]
    write(tmp_path / "training/shop.jsonl", [line(n, stream=streams[n % 3]) for n in range(9)])
    assert numbers(tmp_path, source="stderr") == [1, 4, 7]
    assert numbers(tmp_path, source="system") == [2, 5, 8]
    assert numbers(tmp_path, source="stdout", tail=1) == [6]
