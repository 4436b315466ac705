"""The terminal of whoever runs an app interactively: its end here (`Attached`), and its end in an instance (`Terminal`, `interact`).

Lines go through the control API; it is no pty, so that line editing is the terminal's own.
"""

import io
import os
import sys
import threading
from functools import cached_property
from types import FrameType
from typing import Any

import msgspec

from freehold.core.errors import ConflictError, Error, InvalidError
from freehold.protocol import schemas
from freehold.sdk.config import Target, discover
from freehold.sdk.context import is_local
from freehold.sdk.faces import blocking, both_static
from freehold.sdk.http import Api, segment

_HOW = "run the program with `freehold run --interactive`"
_READ_BYTES = 64 * 1024


# ---- in an instance


class Terminal(io.TextIOBase):
    """A file to print to and to read lines from."""

    def __init__(self) -> None:
        self._unsent = ""

    @cached_property
    def _api(self) -> Api:
        return Api(discover(), timeout_s=None)

    def write(self, text: str, /) -> int:
        self._unsent += text
        if "\n" in text:
            self.flush()
        return len(text)

    def flush(self) -> None:
        if self._unsent:
            self.say()

    def readline(self, _size: int | None = -1, /) -> str:  # type: ignore[override]
        """The next line that is typed; empty at the end of all input."""
        return self.say(reads=True) or ""

    def read(self, _size: int | None = -1, /) -> str:
        return "".join(iter(self.readline, ""))

    def say(self, *, reads: bool = False) -> str | None:
        """Show what was written; ConflictError when there is no terminal."""
        text, self._unsent = self._unsent, ""
        return self._api.send(
            "POST", "/v1/terminal", schemas.TerminalText(text=text, reads=reads), schemas.TerminalAnswer
        ).line

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"


class Stdin(Terminal):
    """An instance's standard input: the terminal where there is one, else an empty file. Its bytes are those of `bare`."""

    def __init__(self, bare: Any) -> None:
        super().__init__()
        self.buffer = getattr(bare, "buffer", None)

    def readline(self, _size: int | None = -1, /) -> str:  # type: ignore[override]
        sys.stdout.flush()
        try:
            return super().readline()
        except Error:
            return ""

    def fileno(self) -> int:
        return 0

    def writable(self) -> bool:
        return False


@both_static
async def interact() -> None:
    """In a function that is run interactively: connect `input()`, `print` and what else uses them to the caller's terminal."""
    terminal = await blocking(_opened, "interact()")
    sys.stdin = sys.stdout = terminal  # pyright: ignore[reportAttributeAccessIssue]


def install() -> None:
    """For the runner: let this process's breakpoints and its standard input use the terminal."""
    sys.stdin = Stdin(sys.stdin)  # type: ignore[assignment]
    sys.breakpointhook = _on_breakpoint


def _on_breakpoint(*args: Any, **kwargs: Any) -> Any:
    if os.environ.get("PYTHONBREAKPOINT"):
        return sys.__breakpointhook__(*args, **kwargs)  # noqa: T100 (the user's own choice)
    terminal = _opened("breakpoint()")
    import pdb  # noqa: T100 (it is what runs at a breakpoint)

    frame: FrameType | None = sys._getframe().f_back
    pdb.Pdb(stdin=terminal, stdout=terminal, nosigint=True).set_trace(frame)  # type: ignore[arg-type]
    return None


def _opened(what: str) -> Terminal:
    if is_local():
        msg = f"{what} is for functions that run in instances; here the terminal is at hand"
        raise InvalidError(msg)
    terminal = Terminal()
    try:
        terminal.say()
    except ConflictError as error:
        msg = f"{what} wants a terminal: {error}; {_HOW}"
        raise InvalidError(msg) from None
    return terminal


# ---- here


class Attached:
    """The terminal of this process, lent to an app's instances until the process ends."""

    def __init__(self, app_id: str, target: Target) -> None:
        self._path = f"/v1/apps/{segment(app_id)}/terminal"
        self._api = Api(target, timeout_s=None)
        self._typed = b""
        self._ready = threading.Event()
        self._failure: Error | None = None
        threading.Thread(target=self._serve, name="freehold-terminal", daemon=True).start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    def _serve(self) -> None:
        try:
            for line in self._api.lines("GET", self._path):
                self._show(msgspec.json.decode(line, type=schemas.TerminalAsk))
                self._ready.set()
        except (Error, OSError, ValueError, msgspec.MsgspecError) as error:
            self._failure = error if isinstance(error, Error) else InvalidError(str(error))
        finally:
            self._ready.set()

    def _show(self, ask: "schemas.TerminalAsk") -> None:
        sys.stdout.write(ask.text)
        sys.stdout.flush()
        if ask.reads:
            self._api.act("POST", self._path, schemas.TerminalAnswer(id=ask.id, line=self._read_line()))

    def _read_line(self) -> str | None:
        """A line of the terminal; None at its end. Not by `sys.stdin`, whose lock would be held when this process ends."""
        while b"\n" not in self._typed:
            more = os.read(0, _READ_BYTES)
            if not more:
                rest, self._typed = self._typed, b""
                return rest.decode(errors="replace") or None
            self._typed += more
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode(errors="replace") + "\n"
