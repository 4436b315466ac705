"""The server's own log and its request log: JSON lines with the same fields as the logs of instances.

Plain `logging` underneath: structlog would cost the server 0.2 s of its start.
"""

import logging
import re
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import msgspec

from freehold.telemetry import context
from freehold.telemetry.files import LogFile
from freehold.telemetry.lines import timestamp

SYSTEM_LOG, REQUEST_LOG = Path("system/server.jsonl"), Path("api/requests.jsonl")
_FLUSH_S, _FLUSH_BYTES = 0.1, 64 * 1024
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_RESERVED = frozenset({"timestamp", "level", "message", "logger", "service", "type", "seq"})
_SECRET_NAME = re.compile(
    r"token|password|passwd|secret|authorization|cookie|api_?key|credential|private_?key", re.IGNORECASE
)
_SECRET_TEXT = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}|://[^\s/:@]+:[^\s/@]+@")
_LEVELS = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warning",
    logging.ERROR: "error",
    logging.CRITICAL: "critical",
}
_encode = msgspec.json.Encoder(enc_hook=repr).encode


@dataclass(frozen=True, kw_only=True)
class LoggingConfig:
    logs: Path | None = None  # the folder; None: no files
    level: str = "info"
    console: TextIO | None = None
    json_console: bool = False
    service: str = "freehold"
    max_bytes: int = 64 * 1024 * 1024
    keep: int = 5


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `timestamp`, `level`, `message`, `logger`, ids of the request, then the event's own fields."""

    def __init__(self, service: str, kind: str = "system") -> None:
        super().__init__()
        self._common = {"service": service, "type": kind}

    def format(self, record: logging.LogRecord) -> str:
        return self.encode(record).decode()

    def encode(self, record: logging.LogRecord) -> bytes:
        fields: dict[str, Any] = {
            "timestamp": timestamp(record.created).decode(),
            "level": _LEVELS.get(record.levelno, "info"),
            "message": scrub(record.getMessage()),
            "logger": record.name,
        }
        fields |= self._common | context.fields() | _extra(record)
        if record.exc_info and record.exc_info[0] is not None:
            fields["error.type"] = record.exc_info[0].__name__
            fields["error.stack"] = scrub("".join(traceback.format_exception(*record.exc_info)))
        return _encode(_clean(fields))


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    own = {k: v for k, v in vars(record).items() if k not in _OWN}
    return {(f"extra.{k}" if k in _RESERVED else k): redact(k, v) for k, v in own.items()}


def redact(name: str, value: Any) -> Any:
    """`value`, unless its name says that it is a secret; texts lose credentials that stand in them."""
    if _SECRET_NAME.search(name) and isinstance(value, str | bytes | Mapping | list | tuple):
        return "[redacted]"
    return scrub(value) if isinstance(value, str) else value


def scrub(text: str) -> str:
    """`text` without bearer tokens and passwords in URLs."""
    return _SECRET_TEXT.sub(lambda m: f"{m[1]} [redacted]" if m[1] else "://[redacted]@", text)


def _clean(fields: dict[str, Any]) -> dict[str, Any]:
    """Without lone surrogates, which no encoder takes."""
    return {k: v.encode(errors="replace").decode() if isinstance(v, str) else v for k, v in fields.items()}


class LogFileHandler(logging.Handler):
    """Writes each record at once. A full disk loses lines, and is told on stderr once."""

    def __init__(self, file: LogFile, formatter: JsonFormatter) -> None:
        super().__init__()
        self._file, self._json, self._told = file, formatter, False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._file.append(self._json.encode(record) + b"\n")
            self._told = False
        except Exception as error:  # noqa: BLE001 (a log must not fail its caller)
            if not self._told:
                self._told = True
                print(f"freehold: cannot write {self._file.path}: {error}", file=sys.stderr)  # noqa: T201 (the last resort)

    def close(self) -> None:
        super().close()
        self._file.close()


class TextFormatter(logging.Formatter):
    """For a person at a terminal: time, level, event, fields."""

    def format(self, record: logging.LogRecord) -> str:
        own = " ".join(f"{k}={v}" for k, v in _extra(record).items())
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        text = f"{at} {record.levelname.lower():<8}{scrub(record.getMessage())} {own}".rstrip()
        return f"{text}\n{scrub(self.formatException(record.exc_info))}" if record.exc_info else text


def configure(config: LoggingConfig) -> Callable[[], None]:
    """Send all logging of this process where `config` says; returns what ends that."""
    handlers: list[logging.Handler] = []
    if config.logs is not None:
        file = LogFile(config.logs / SYSTEM_LOG, max_bytes=config.max_bytes, keep=config.keep)
        handlers.append(LogFileHandler(file, JsonFormatter(config.service)))
    if config.console is not None:
        console = logging.StreamHandler(config.console)
        console.setFormatter(JsonFormatter(config.service) if config.json_console else TextFormatter())
        handlers.append(console)
    root = logging.getLogger()
    before, root.handlers = root.handlers, handlers
    level_before = root.level
    root.setLevel(config.level.upper())

    def restore() -> None:
        root.handlers = before
        root.setLevel(level_before)
        for handler in handlers:
            handler.close()

    return restore


class RequestLog:
    """The log of requests. Lines wait a tenth of a second for others, so that a busy loop writes once for many."""

    def __init__(
        self,
        logs: Path,
        *,
        call_later: Callable[[float, Callable[[], None]], object],
        max_bytes: int = 64 * 1024 * 1024,
        keep: int = 5,
    ) -> None:
        self._file = LogFile(logs / REQUEST_LOG, max_bytes=max_bytes, keep=keep)
        self._call_later = call_later
        self._waiting: list[bytes] = []
        self._bytes = 0

    def write(
        self, *, method: str, handler: str, status: int, duration_ms: float, request_id: str, **more: object
    ) -> None:
        """Log one request; `handler` is the route's template, never the raw path. `more` that is empty is left out."""
        fields: dict[str, object] = {
            "timestamp": timestamp(time.time()).decode(),
            "level": "error" if status >= 500 else "warning" if status >= 400 else "info",
            "message": f"{method} {handler} {status}",
            "logger": "freehold.requests",
            "service": "freehold",
            "type": "api",
            "request_id": request_id,
            "method": method,
            "handler": handler,
            "status": status,
            "duration_ms": round(duration_ms, 3),
        }
        line = _encode(_clean(fields | {k: redact(k, v) for k, v in more.items() if v}))
        if not self._waiting:
            self._call_later(_FLUSH_S, self.flush)
        self._waiting.append(line)
        self._bytes += len(line)
        if self._bytes > _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        lines, self._waiting, self._bytes = self._waiting, [], 0
        if not lines:
            return
        try:
            self._file.append(b"\n".join(lines) + b"\n")
        except OSError as error:
            logging.getLogger("freehold.requests").warning(
                "requests_not_logged", extra={"count": len(lines), "detail": str(error)}
            )

    def close(self) -> None:
        self.flush()
        self._file.close()
