"""Raw output to JSON lines: records, raw text, calls, and whatever bytes user code can write."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.server.logs.query import parse
from freehold.server.logs.raw import MAX_LINE_BYTES, MAX_RECORD_BYTES, Encoder, pieces, split
from freehold.server.logs.words import LogSource
from freehold.telemetry.lines import timestamp

AT = 1_763_712_000.25
SOURCE = LogSource(app="shop", app_id="ap-1", function="price", type="training")


def record(*values: Any) -> bytes:
    return b"\x1e" + json.dumps(values).encode() + b"\n"


def printed(message: str, call: str = "fc-1", stream: str = "stdout") -> bytes:
    return record("l", AT, stream, call, "", message)


def encode(data: bytes, start: int = 0, running: str = "") -> list[dict[str, Any]]:
    batch = Encoder("in-1", SOURCE, now=lambda: AT).encode(data, start, running)
    lines = [json.loads(line) for line in batch.data.splitlines()]
    assert len(lines) == batch.lines
    assert all(parse(line) is not None for line in batch.data.splitlines())
    return lines


def test_a_printed_line_carries_whose_it_is() -> None:
    data = printed("hello")
    common = {
        "service": "shop",
        "type": "training",
        "app": "shop",
        "app_id": "ap-1",
        "function": "price",
        "instance": "in-1",
    }
    assert encode(data, start=100) == [
        {"timestamp": "2025-11-21T08:00:00.250000Z", "level": "info", "message": "hello"}
        | common
        | {"call": "fc-1", "stream": "stdout", "seq": 100 + len(data)}
    ]


def test_the_fast_way_and_the_careful_way_agree() -> None:
    data = b"".join(printed(f'line {i} é " \\ \u2028', f"fc-{i % 3}", ["stdout", "stderr"][i % 2]) for i in range(50))
    encoder = Encoder("in-1", SOURCE)
    fast, careful = encoder.encode(data, 7, ""), encoder._encode_mixed(data, 7, "")
    assert encoder._encode_records(data, 7) is not None
    assert fast == careful


def test_an_event_carries_its_own_fields() -> None:
    fields = {"epoch": 3, "loss": 0.5, "error.type": "ValueError", "app": "mine", "odd": [1, {"a": None}]}
    (line,) = encode(record("e", AT, "warning", "fc-1", "rq-1", "training_step", "train", fields))
    assert (line["level"], line["logger"], line["message"], line["request_id"]) == (
        "warning",
        "train",
        "training_step",
        "rq-1",
    )
    assert (line["epoch"], line["loss"], line["error.type"], line["odd"]) == (3, 0.5, "ValueError", [1, {"a": None}])
    assert (line["app"], line["extra.app"]) == ("shop", "mine")


def test_an_event_in_the_users_own_format_is_of_its_stream() -> None:
    (line,) = encode(record("e", AT, "warning", "", "", "mine! lost 3", "mine", {"n": 3}, "stderr"))
    assert (line["level"], line["message"], line["stream"], line["n"]) == ("warning", "mine! lost 3", "stderr", 3)


def test_raw_lines_belong_to_the_next_ended_call_in_sight_else_to_the_running_one() -> None:
    data = b"one\n" + printed("ours", "fc-2") + b"two\n" + record("end", "fc-1") + b"three\n"
    assert [(x["message"], x.get("call")) for x in encode(data, running="fc-9")] == [
        ("one", "fc-1"), ("ours", "fc-2"), ("two", "fc-1"), ("three", "fc-9"),
    ]  # fmt: skip
    assert "call" not in encode(b"alone\n")[0]


def test_a_record_after_raw_text_without_a_line_end() -> None:
    data = b"abc" + printed("ours") + b"def\n"
    lines = encode(data)
    assert [x["message"] for x in lines] == ["abc", "ours", "def"]
    assert [x["seq"] for x in lines] == [3, len(data) - 4, len(data)]


@pytest.mark.parametrize(
    ("raw", "messages"),
    [
        (b"10%\r20%\r30%\r\n", ["10%", "20%", "30%"]),
        (b"windows\r\nlines\r\n", ["windows", "lines"]),
        (b"\n\n\r\r\n", ["", ""]),
        (b"torn \xff\xfe bytes\n", ["torn \ufffd\ufffd bytes"]),
        (b"\x1e[not json\n", ["[not json"]),
        (b'\x1e["l", 1, 2]\n', ['["l", 1, 2]']),
        (b'\x1e{"a": 1}\n', ['{"a": 1}']),
        (b'\x1e["l", 1.0, "stdout", "", "", 7]\n', ['["l", 1.0, "stdout", "", "", 7]']),
        (b'\x1e["end", {}]\n', ['["end", {}]']),
        (b"\x1e" + b"[" * 5000 + b"\n", ["[" * 5000]),
    ],
)
def test_what_is_no_record_is_raw_text(raw: bytes, messages: list[str]) -> None:
    assert [x["message"] for x in encode(raw)] == messages


@pytest.mark.parametrize(
    "raw",
    [
        "a\n\nb\n", "10%\r20%\r30%\nnext", "no end", "windows\r\n", "x" * (MAX_LINE_BYTES + 5) + "\n", "two" + "\n" * 3,
    ],
)  # fmt: skip
def test_raw_text_is_put_together_again_as_it_was(raw: str) -> None:
    lines = encode(raw.encode())
    assert "".join(x["message"] + x.get("ending", "\n") for x in lines) == raw.replace("\r\n", "\n")


def test_printed_parts_are_put_together_again() -> None:
    data = record("p", AT, "stdout", "", "", "10%") + record("r", AT, "stdout", "", "", "") + printed("done")
    assert "".join(x["message"] + x.get("ending", "\n") for x in encode(data)) == "10%\rdone\n"
    assert "ending" not in encode(data)[-1]


def test_a_torn_record_does_not_take_the_next_one_with_it() -> None:
    assert [x["message"] for x in encode(b'\x1e["l", 17637' + printed("whole"))] == ['["l", 17637', "whole"]


def test_lone_surrogates_and_odd_times_pass() -> None:
    data = b'\x1e["l", 1e300, "stdout", "", "", "a\\ud800b"]\n' + b'\x1e["l", NaN, "stdout", "", "", "c"]\n'
    assert [x["message"] for x in encode(data)] == ["a?b", "c"]


def test_long_raw_lines_are_split_at_characters() -> None:
    text = "한" * MAX_LINE_BYTES
    lines = encode(text.encode() + b"\n")
    assert "".join(x["message"] for x in lines) == text
    assert all(len(x["message"].encode()) <= MAX_LINE_BYTES for x in lines)
    ends = [x["seq"] for x in lines]
    assert ends == sorted(set(ends))
    assert ends[-1] == len(text.encode()) + 1


def test_what_can_be_taken_now() -> None:
    assert split(b"a\nb", final=False) == 2
    assert split(b"a\nb", final=True) == 3
    assert split(b"10%\r20%\r", final=False) == 4
    assert split(b"\x1e[half a record", final=False) == 0
    assert split(b"x" * (MAX_LINE_BYTES + 5), final=False) == MAX_LINE_BYTES
    assert split("한".encode() * MAX_LINE_BYTES, final=False) % 3 == 0
    assert split(b"\x1e" + b"x" * MAX_RECORD_BYTES, final=False) == MAX_RECORD_BYTES + 1


@given(
    st.binary(max_size=300)
    | st.lists(st.sampled_from([b"\x1e", b"\n", b"\r", b"[", b"]", b'"', b"a", b"\x80", printed("p")])).map(b"".join)
)
def test_any_bytes_give_lines_with_growing_offsets(data: bytes) -> None:
    found = list(pieces(data, 10))
    ends = [p.end for p in found]
    assert ends == sorted(set(ends))
    assert all(10 < end <= 10 + len(data) for end in ends)
    encode(data)


@given(
    st.lists(st.sampled_from([b"raw", b"\n", b"\r", b"more", printed("one"), printed("two")])).map(b"".join), st.data()
)
def test_going_on_after_any_line_gives_the_same_lines(data: bytes, draw: st.DataObject) -> None:
    whole = list(pieces(data, 0))
    if whole:
        end = draw.draw(st.sampled_from([p.end for p in whole]))
        assert list(pieces(data[end:], end)) == [p for p in whole if p.end > end]


def test_timestamps_compare_as_text() -> None:
    assert timestamp(0.000001) == b"1970-01-01T00:00:00.000001Z"
    assert timestamp(AT) < timestamp(AT + 0.001)
    assert len({len(timestamp(t)) for t in (0, AT, float("nan"), -5, 1e18)}) == 1
