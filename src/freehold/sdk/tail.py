"""What an app's instances write while it runs, each line once, for whoever shows it; and how it is shown as plain text."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Generator

import msgspec

from freehold.core.errors import Error
from freehold.protocol import schemas
from freehold.sdk.config import discover
from freehold.sdk.http import Api, Query

_EVERYTHING = 1_000_000
_AGAIN_S = 0.5


def log_lines(api: Api, query: Query) -> "Generator[schemas.LogLine, None, None]":
    """Log lines that match, oldest first; endless with `follow`."""
    decode = msgspec.json.Decoder(schemas.LogLine).decode
    for line in api.lines("GET", "/v1/logs", query=query):
        yield decode(line)


class Tail:
    """Gives `show` what an app's instances write, until it is closed."""

    def __init__(self, app_id: str, show: "Callable[[schemas.LogLine], None]", *, since: float | None = None) -> None:
        self._show = show
        self._which: dict[str, str | None] = {"app_id": app_id, "since": None if since is None else str(since)}
        self._seen: dict[str, int] = {}  # by instance: the last line shown
        self._showing = threading.Lock()
        self._closed = False
        threading.Thread(target=self._follow, daemon=True).start()

    def close(self) -> None:
        """Show the rest; the server has collected all when an app is stopped."""
        self._closed = True
        with contextlib.suppress(Error):
            for line in log_lines(Api(discover()), self._which):
                self._take(line)

    def _follow(self) -> None:
        while not self._closed:
            with contextlib.suppress(Error, OSError, ValueError):
                for line in log_lines(Api(discover()), {**self._which, "follow": True, "tail": _EVERYTHING}):
                    if self._closed:
                        return
                    self._take(line)
            time.sleep(_AGAIN_S)  # the server left: another may take its place

    def _take(self, line: "schemas.LogLine") -> None:
        if line.type == "api":
            return
        with self._showing:
            if line.seq <= self._seen.get(line.instance, -1) and line.instance:
                return
            self._seen[line.instance] = line.seq
            self._show(line)


class Plain:
    """Prints lines as they were written, each to the stream that it was written to; events to stderr."""

    def __init__(self) -> None:
        self._joined = {"stdout": Joined(), "stderr": Joined()}

    def __call__(self, line: "schemas.LogLine") -> None:
        name = "stdout" if line.stream == "stdout" else "stderr"
        text = line.message if line.stream else event_text(line)
        print(self._joined[name].before(line), text, sep="", end=line.ending, file=getattr(sys, name), flush=True)


class Joined:
    """Puts text together again that was written in parts, each a line of the log; what another instance writes goes between."""

    def __init__(self) -> None:
        self._open: tuple[str, str] | None = None  # instance and stream of text that no line end followed yet

    def before(self, line: "schemas.LogLine") -> str:
        """What to print before a line, which is followed by its `ending`."""
        own = (line.instance, line.stream)
        break_ = "\n" if self._open not in (None, own) else ""
        self._open = own if line.ending != "\n" else None
        return break_

    @property
    def rest(self) -> str:
        """What to print after the last line."""
        return "\n" if self._open else ""


def event_text(line: "schemas.LogLine") -> str:
    """A structured event: its level, its message and its fields."""
    fields = [f" {key}={value}" for key, value in event_fields(line)]
    return f"{line.level:<7} {line.message}{''.join(fields)}{event_stack(line)}"


def event_fields(line: "schemas.LogLine") -> list[tuple[str, object]]:
    # the line's app was asked for, or is told by its instance
    return [(key, value) for key, value in line.extra.items() if key not in ("app_id", "error.stack")]


def event_stack(line: "schemas.LogLine") -> str:
    stack = str(line.extra.get("error.stack", "")).rstrip()
    return f"\n{stack}" if stack else ""
