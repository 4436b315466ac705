"""Records of what user code prints."""

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from freehold.runner import output
from freehold.runner.output import LINE_BYTES, LineStream, Output
from freehold.sdk import context


class File:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def records(self) -> list[Any]:
        lines = self.path.read_bytes().split(b"\n")
        return [json.loads(line[1:]) if line[:1] == b"\x1e" else line.decode() for line in lines if line]

    def messages(self) -> list[str]:
        return [r[5] for r in self.records() if r[0] in "lpr"]

    def kinds(self) -> str:
        return "".join(r[0] for r in self.records())


@pytest.fixture
def file(tmp_path: Path) -> Iterator[File]:
    made = File(tmp_path / "output")
    yield made
    os.close(made.fd)


@pytest.fixture
def stream(file: File) -> LineStream:
    return LineStream(Output(file.fd), "stdout", 1)


def test_a_line_is_one_record(file: File, stream: LineStream) -> None:
    print("hello", 3, file=stream)
    ((kind, _, name, call, request, message),) = file.records()
    assert (kind, name, call, request, message) == ("l", "stdout", "", "", "hello 3")


def test_partial_lines_wait_for_their_end_or_a_flush(file: File, stream: LineStream) -> None:
    stream.write("a")
    stream.write("b")
    assert file.messages() == []
    stream.write("c\nd")
    assert file.messages() == ["abc"]
    stream.flush()
    assert file.messages() == ["abc", "d"]
    stream.flush()
    assert file.messages() == ["abc", "d"]
    assert file.kinds() == "lp"


def test_carriage_returns_end_lines(file: File, stream: LineStream) -> None:
    stream.write("10%\r20%\r\n\ndone\n")
    assert file.messages() == ["10%", "20%", "", "done"]
    assert file.kinds() == "rlll"


def test_long_lines_are_split(file: File, stream: LineStream) -> None:
    stream.write("x" * (2 * LINE_BYTES + 5) + "\n")
    assert [len(m) for m in file.messages()] == [LINE_BYTES, LINE_BYTES, 5]
    assert file.kinds() == "ppl"


def test_partial_lines_of_calls_do_not_mix(file: File, stream: LineStream) -> None:
    first = context.enter_input("fc-1", 0)
    stream.write("one ")
    context.leave_input(first)
    second = context.enter_input("fc-2", 0)
    stream.write("two\n")
    context.leave_input(second)
    first = context.enter_input("fc-1", 0)
    stream.write("more\n")
    context.leave_input(first)
    assert [(r[3], r[5]) for r in file.records()] == [("fc-2", "two"), ("fc-1", "one more")]


def test_bytes_and_odd_characters(file: File, stream: LineStream) -> None:
    stream.buffer.write("caf\u00e9\n".encode())
    stream.write("lone \udc80 surrogate\n")
    assert file.messages() == ["caf\u00e9", "lone ? surrogate"]


def test_raw_bytes_are_given_to_the_call_that_ended(file: File) -> None:
    out = Output(file.fd)
    out.line("stdout", "ours")
    out.end("fc-1")
    os.write(file.fd, b"from C\n")
    out.end("fc-2")
    out.end("fc-3")
    assert file.records()[1:] == ["from C", ["end", "fc-2"]]


def test_a_write_of_something_else_is_refused(stream: LineStream) -> None:
    with pytest.raises(TypeError, match="not int"):
        stream.write(3)  # type: ignore[arg-type]


def test_events_carry_fields_whatever_they_are(file: File) -> None:
    Output(file.fd).event("info", "training_step", "train", loss=0.5, thing=logging.INFO, odd=object)
    ((kind, _, level, _, _, message, logger, fields),) = file.records()
    assert (kind, level, message, logger) == ("e", "info", "training_step", "train")
    assert fields == {"loss": 0.5, "thing": 20, "odd": "<class 'object'>"}


def test_a_format_of_the_users_makes_a_line_of_its_stream(file: File, stream: LineStream) -> None:
    handler = logging.StreamHandler(stream)
    record = logging.LogRecord("mine", logging.WARNING, __file__, 1, "lost %d", (3,), None)
    output._emit(Output(file.fd), record, handler)
    handler.setFormatter(logging.Formatter("%(name)s! %(message)s"))
    output._emit(Output(file.fd), record, handler)
    assert [r[5:] for r in file.records()] == [["lost 3", "mine", {}], ["mine! lost 3", "mine", {}, "stdout"]]
