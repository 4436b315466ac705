r"""User output as records: each line one write of `\x1e`, a JSON array and a newline, beside the raw bytes of C code and subprocesses.

["l", time, stream, call, request_id, message]    a line; "p" for text that no line end follows, "r" for what "\r" ends
["e", time, level, call, request_id, message, logger, {fields}]    and last the stream, where the user's own format made the text
["end", call]    raw bytes before this belong to that call
"""

import io
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Literal, TextIO, cast

import msgspec

from freehold.sdk import context

LINE_BYTES = 64 * 1024
LineKind = Literal["l", "p", "r"]
request_id: ContextVar[str] = ContextVar("freehold_request_id", default="")
_encode = msgspec.json.Encoder(enc_hook=repr).encode
_LINE_END = re.compile(r"(\r\n|[\n\r])")
_RECORD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Output:
    """The raw file behind descriptor `fd`, and what is being written to it."""

    def __init__(self, fd: int = 1) -> None:
        self.fd = fd
        self.only_call = ""  # the one call that runs, when there can be only one: for threads that know of no context
        self._own_bytes = 0
        self._raw_bytes = 0

    def line(self, stream: str, message: str, kind: LineKind = "l") -> None:
        self._write([kind, time.time(), stream, self._call(), request_id.get(), message])

    def event(self, level: str, message: str, logger: str = "freehold", **fields: Any) -> None:
        """Write one structured event."""
        self.logged(level, message, logger, fields)

    def logged(self, level: str, message: str, logger: str, fields: dict[str, Any], stream: str = "") -> None:
        """Write one event; with a stream, as the line that the user's own format made for it."""
        own = [stream] if stream else []
        self._write(["e", time.time(), level, self._call(), request_id.get(), message, logger, fields, *own])

    def end(self, call: str) -> None:
        """An input of `call` has ended: raw bytes that came meanwhile are its own."""
        try:
            raw = os.fstat(self.fd).st_size - self._own_bytes
        except OSError:
            return
        if raw != self._raw_bytes:
            self._raw_bytes = raw
            self._write(["end", call])

    def _call(self) -> str:
        return context.current_function_call_id() or self.only_call

    def _write(self, record: list[Any]) -> None:
        try:
            data = b"\x1e" + _encode(record) + b"\n"
        except (TypeError, ValueError, UnicodeError):  # lone surrogates
            data = b"\x1e" + _encode([_clean(item) for item in record]) + b"\n"
        self._own_bytes += len(data)
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self.fd, view) :]
            except InterruptedError:
                continue
            except OSError:  # a full disk: the user's code goes on
                return


class LineStream(io.TextIOBase):
    r"""Stands in for sys.stdout and sys.stderr: whole lines become records, `\r` ends a line too, flush sends the rest."""

    def __init__(self, output: Output, name: str, fd: int) -> None:
        self._output, self.stream, self._fd = output, name, fd
        self._partial: dict[str, str] = {}  # by call
        self.buffer = _Bytes(self)

    encoding = "utf-8"  # type: ignore[assignment]
    errors = "replace"  # type: ignore[assignment]
    newlines = None

    @property
    def name(self) -> str:
        return f"<{self.stream}>"

    @property
    def mode(self) -> str:
        return "w"

    @property
    def line_buffering(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may do so
            msg = f"write() argument must be str, not {type(text).__name__}"
            raise TypeError(msg)
        call = context.current_function_call_id() or ""
        whole = self._partial.pop(call, "") + text
        if "\n" in whole or "\r" in whole:
            *lines, whole = _LINE_END.split(whole)
            for line, end in zip(lines[::2], lines[1::2], strict=True):
                self._send(line, "r" if end == "\r" else "l")
        while len(whole) > LINE_BYTES:
            self._send(whole[:LINE_BYTES], "p")
            whole = whole[LINE_BYTES:]
        if whole:
            self._partial[call] = whole
        return len(text)

    def flush(self) -> None:
        rest = self._partial.pop(context.current_function_call_id() or "", "") if self._partial else ""
        if rest:
            self._send(rest, "p")

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def reconfigure(self, **_: Any) -> None:
        """Accept what a TextIOWrapper accepts; lines are sent at once anyway."""

    def _send(self, line: str, kind: LineKind) -> None:
        while len(line) > LINE_BYTES:
            self._output.line(self.stream, line[:LINE_BYTES], "p")
            line = line[LINE_BYTES:]
        self._output.line(self.stream, line, kind)


class _Bytes(io.RawIOBase):
    """`sys.stdout.buffer`."""

    def __init__(self, text: LineStream) -> None:
        self._text = text

    def write(self, data: Any, /) -> int:
        view = bytes(data)
        self._text.write(view.decode("utf-8", "replace"))
        return len(view)

    def flush(self) -> None:
        self._text.flush()

    def fileno(self) -> int:
        return self._text.fileno()

    def writable(self) -> bool:
        return True


def install(output: Output) -> None:
    """Send this process's Python output and log records through `output`."""
    sys.stdout = LineStream(output, "stdout", 1)
    sys.stderr = LineStream(output, "stderr", 2)
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # type: ignore[misc]
    logging.lastResort = _Events(output)
    plain = cast("Callable[[Any, logging.LogRecord], None]", logging.StreamHandler.emit)  # pyright: ignore[reportUnknownMemberType]

    def emit(handler: "logging.StreamHandler[TextIO]", record: logging.LogRecord) -> None:
        """A handler that would print to our streams makes an event, with the text that it would print."""
        if isinstance(handler.stream, LineStream):
            _emit(output, record, handler)
        else:
            plain(handler, record)

    logging.StreamHandler.emit = emit  # type: ignore[method-assign, assignment]


def flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # the user closed it
            continue


class _Events(logging.Handler):
    """Takes the records of programs that configure no logging."""

    def __init__(self, output: Output) -> None:
        super().__init__(logging.NOTSET)
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        _emit(self._output, record, self)


def _has_own_format(handler: logging.Handler) -> bool:
    form = handler.formatter
    plain = form is None or (type(form) is logging.Formatter and form._fmt in ("%(message)s", logging.BASIC_FORMAT))  # pyright: ignore[reportPrivateUsage]
    return not plain


def _emit(output: Output, record: logging.LogRecord, handler: logging.Handler) -> None:
    try:
        fields = {k: v for k, v in vars(record).items() if k not in _RECORD_FIELDS}
        if record.exc_info and record.exc_info[0] is not None:
            fields["error.type"] = record.exc_info[0].__name__
            fields["error.stack"] = "".join(traceback.format_exception(*record.exc_info))
        own = _has_own_format(handler)
        message = handler.format(record) if own else record.getMessage()
        stream = getattr(handler, "stream", None)
        name = stream.stream if own and isinstance(stream, LineStream) else ""
        output.logged(record.levelname.lower(), message, record.name, fields, name)
    except Exception:  # noqa: BLE001 (logging never raises into the user's code)
        output.line("stderr", traceback.format_exc())


def _clean(item: Any) -> Any:
    if isinstance(item, str):
        return item.encode("utf-8", "replace").decode()
    if isinstance(item, dict):
        return {_clean(str(k)): repr(v) for k, v in item.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return item
