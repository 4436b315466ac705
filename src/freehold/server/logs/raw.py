"""From an instance's raw output to JSON lines: records of the runner, and whatever else was written to the same file.

Pure: bytes in, bytes out. Nothing that user code can write makes it fail.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, cast

import msgspec

from freehold.core.environments import MAIN
from freehold.server.logs.words import LogSource
from freehold.telemetry.lines import YEAR_10000, second, timestamp

MARK = b"\x1e"
MAX_LINE_BYTES = 64 * 1024  # of raw output; longer lines are split
MAX_RECORD_BYTES = 1024 * 1024  # a record of the runner; a longer one counts as raw output
_LEVELS = frozenset({"debug", "info", "warning", "error", "critical"})
_FIELDS = frozenset(
    ("timestamp", "level", "message", "logger", "service", "type", "app", "app_id", "workspace", "function", "instance", "call", "request_id",
     "stream", "seq", "ending")
)  # fmt: skip
_decode = msgspec.json.Decoder(list[Any]).decode
_encode = msgspec.json.encode
_KINDS = {"l": "\n", "p": "", "r": "\r"}
_ENDINGS = {"\n": b"", "": b',"ending":""', "\r": b',"ending":"\\r"'}
_PARTS = re.compile(rb"[^\r]+\r*")


class Piece(NamedTuple):
    """One line of output: a record of the runner, or raw text. `end` is the offset in the raw file after it."""

    end: int
    record: list[Any] | None
    text: bytes
    ending: str = "\n"


@dataclass(slots=True)
class Batch:
    """Encoded lines, ready to append; `end` is how far into the raw file they reach."""

    data: bytes
    end: int
    lines: int


def split(data: bytes, *, final: bool) -> int:
    """How many leading bytes of `data` can be taken: whole lines; all of it when nothing more will come."""
    if final:
        return len(data)
    # a progress bar's "\r" ends a line; at the very end it may be half of "\r\n"
    cut = max(data.rfind(b"\n"), data.rfind(b"\r", 0, max(len(data) - 1, 0))) + 1
    rest = len(data) - cut
    if rest > MAX_LINE_BYTES and data.find(MARK, cut) < 0:
        return _at_character(data, len(data) - rest % MAX_LINE_BYTES)
    return len(data) if rest > MAX_RECORD_BYTES else cut


def _at_character(data: bytes, stop: int) -> int:
    """`stop`, or a little less where that is within a UTF-8 character."""
    for back in range(4):
        if stop - back < len(data) and data[stop - back] & 0xC0 != 0x80:
            return stop - back
    return stop


class Encoder:
    """Encodes one instance's output."""

    def __init__(self, instance: str, source: LogSource, now: Callable[[], float] = time.time) -> None:
        self._now = now
        common = {
            "service": source.service or source.app, "type": source.type, "app": source.app, "app_id": source.app_id,
            "workspace": "" if source.workspace == MAIN else source.workspace, "function": source.function, "instance": instance,
        }  # fmt: skip
        self._common = b"," + _encode({k: v for k, v in common.items() if v})[1:-1]

    def encode(self, data: bytes, start: int, running: str) -> Batch:
        """Encode `data`, which stands at offset `start`; raw lines are of the next ended call in sight, else of `running`."""
        fast = self._encode_records(data, start)
        return fast if fast is not None else self._encode_mixed(data, start, running)

    def _encode_records(self, data: bytes, start: int) -> Batch | None:
        """The common case, all at once: nothing but printed lines."""
        if not (data.startswith(MARK) and data.endswith(b"\n")):
            return None
        lines = data.split(b"\n")
        lines.pop()
        try:
            records = _decode(b"[" + data[1:-1].replace(b"\n" + MARK, b",") + b"]")
            if len(records) != len(lines):
                return None
            return self._encode_printed(records, lines, start)
        except (msgspec.DecodeError, ValueError, TypeError, AttributeError, RecursionError):
            return None

    def _encode_printed(self, records: list[Any], lines: list[bytes], start: int) -> Batch | None:
        out: list[bytes] = []
        end, whole, prefix, whose, tail = start, -1, b"", None, b""
        for (kind, at, *named, message), line in zip(records, lines, strict=True):
            if kind != "l" or message.__class__ is not str or not 0 <= at < YEAR_10000:
                return None
            end += len(line) + 1
            if named != whose:  # most often the one before's
                whose, tail = named, self._tail(*named)
            if int(at) != whole:
                whole = int(at)
                prefix = b'{"timestamp":"' + second(whole)
            out.append(
                b'%b%06dZ","level":"info","message":%b%b%d}\n'
                % (prefix, at % 1 * 1_000_000, _encode(message), tail, end)
            )
        return Batch(b"".join(out), end, len(lines))

    def _tail(self, stream: str, call: str, request: str) -> bytes:
        return self._common + _tail(stream, call, request)

    def _encode_mixed(self, data: bytes, start: int, running: str) -> Batch:
        out: list[bytes] = []
        places: list[tuple[int, Piece]] = []  # in `out`, of raw lines that wait for the call they belong to
        for piece in pieces(data, start):
            if piece.record is None:
                places.append((len(out), piece))
                out.append(b"")
            elif piece.record[0] == "end":
                self._fill(out, places, str(piece.record[1]))
            else:
                out.append(self._record(piece))
        self._fill(out, places, running)
        return Batch(b"".join(out), start + len(data), len(out))

    def _fill(self, out: list[bytes], places: list[tuple[int, Piece]], call: str) -> None:
        now = self._now()
        for place, piece in places:
            text = piece.text.decode(errors="replace")
            tail = self._tail("stdout", call, "")
            out[place] = self._line(now, "info", text, tail, piece.end, _ENDINGS[piece.ending])
        places.clear()

    def _record(self, piece: Piece) -> bytes:
        record = piece.record or []
        at = record[1]
        if record[0] in _KINDS:
            kind, _, stream, call, request, message = record
            return self._line(at, "info", message, self._tail(stream, call, request), piece.end, _ENDINGS[_KINDS[kind]])
        _, _, level, call, request, message, logger, fields, *own = record
        extra = b"".join(b"," + _encode(_free_name(str(k))) + b":" + _plain(v) for k, v in fields.items())
        named = (b',"logger":' + _encode(_clean(logger)) if logger else b"") + self._tail(
            own[0] if own else "", call, request
        )
        return self._line(at, level if level in _LEVELS else "info", message, named, piece.end, extra)

    @staticmethod
    def _line(at: float, level: str, message: str, named: bytes, end: int, extra: bytes) -> bytes:
        text = _encode(_clean(message))
        return b"".join(
            (
                b'{"timestamp":"',
                timestamp(at),
                b'","level":"',
                level.encode(),
                b'","message":',
                text,
                named,
                b"%d" % end,
                extra,
                b"}\n",
            )
        )


@lru_cache(4096)
def _tail(stream: str, call: str, request: str) -> bytes:
    named = {"call": call, "request_id": request, "stream": stream}
    return b"," + _encode({k: _clean(v) for k, v in named.items() if v} | {"seq": 0})[1:-2]


def pieces(data: bytes, start: int) -> Iterator[Piece]:
    """Split `data` at line ends, and at the mark of a record that follows raw text without one."""
    at = 0
    while at < len(data):
        stop = data.find(b"\n", at) + 1 or len(data)
        line = data[at:stop].removesuffix(b"\n")
        ending = "\n" if data[stop - 1 : stop] == b"\n" else ""
        head, mark, tail = line.rpartition(MARK)
        if mark and (record := _parse(tail)) is not None:
            yield from _raw_pieces(head, start + at, start + at + len(head), "")
            yield Piece(start + stop, record, b"")
        elif line:
            yield from _raw_pieces(line, start + at, start + stop, ending)
        else:
            yield Piece(start + stop, None, b"")
        at = stop


def _raw_pieces(text: bytes, start: int, end: int, ending: str) -> Iterator[Piece]:
    """Raw text at offset `start`, at its carriage returns and in bearable lengths; what is empty between those is left out."""
    for part in _PARTS.finditer(text):
        body, at = part[0].rstrip(b"\r"), part.start()
        last = part.end() == len(text)
        while len(body) > MAX_LINE_BYTES:
            stop = _at_character(body, MAX_LINE_BYTES)
            at += stop
            yield Piece(start + at, None, body[:stop].replace(MARK, b""), "")
            body = body[stop:]
        ended = ending if last and ending else "\r" if part[0].endswith(b"\r") else ""
        yield Piece(end if last else start + part.end(), None, body.replace(MARK, b""), ended)


def _parse(text: bytes) -> list[Any] | None:
    """A record of the runner; None for anything that only looks like one."""
    try:
        record: Any = _decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        record = _parse_leniently(text)
    fits = False
    match record:
        case ["l" | "p" | "r", float() | int(), str(), str(), str(), str()]:
            fits = True
        case ["e", float() | int(), str(), str(), str(), str(), str(), dict()] | [
            "e", float() | int(), str(), str(), str(), str(), str(), dict(), str()
        ]:  # fmt: skip
            fits = True
        case ["end", str()]:
            fits = True
        case _:
            pass
    return cast("list[Any]", record) if fits else None


def _parse_leniently(text: bytes) -> Any:
    """What the strict parser refuses but Python's own writer makes: lone surrogates, NaN."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _clean(text: str) -> str:
    """Replace lone surrogates."""
    return text.encode(errors="replace").decode()


def _free_name(name: str) -> str:
    return f"extra.{name}" if name in _FIELDS else _clean(name)


def _plain(value: Any) -> bytes:
    try:
        return _encode(value)
    except (TypeError, ValueError, msgspec.EncodeError, RecursionError):
        return _encode(_clean(repr(value))[:1000])
