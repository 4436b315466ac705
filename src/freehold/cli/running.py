"""A program while it runs here: its app up, its instances' output on our stdout and stderr, its errors as its author reads them."""

import contextlib
import signal
import sys
import threading
import time
import warnings
from collections.abc import Generator
from typing import Any

from rich.text import Text

from freehold.cli import control
from freehold.cli.errors import ExitCode, exit_code_of, report
from freehold.cli.logs import Joined, as_text
from freehold.cli.output import stderr, stdout
from freehold.cli.progress import Shown
from freehold.core.errors import ConnectionError, Error
from freehold.modal import alias
from freehold.protocol.schemas import LogLine
from freehold.sdk.app import App, Run
from freehold.sdk.running import Progress, Silent
from freehold.sdk.tracebacks import is_ours, user_frames, user_traceback

_EVERYTHING = 1_000_000
_AGAIN_S = 0.5


class Tail:
    """Prints what an app's instances write, each line once, until it is closed."""

    def __init__(self, app_id: str, *, timestamps: bool = False, since: float | None = None) -> None:
        self._timestamps = timestamps
        self._which: dict[str, str | None] = {"app_id": app_id, "since": None if since is None else str(since)}
        self._seen: dict[str, int] = {}  # by instance: the last line printed
        self._out, self._err = Joined(), Joined()
        self._printing = threading.Lock()
        self._closed = False
        threading.Thread(target=self._follow, daemon=True).start()

    def close(self) -> None:
        """Print the rest; the server has collected all when an app is stopped."""
        self._closed = True
        with contextlib.suppress(Error):
            for line in control.logs(control.connect(), self._which):
                self._print(line)

    def _follow(self) -> None:
        while not self._closed:
            with contextlib.suppress(Error, OSError, ValueError):
                for line in control.logs(control.connect(), {**self._which, "follow": True, "tail": _EVERYTHING}):
                    if self._closed:
                        return
                    self._print(line)
            time.sleep(_AGAIN_S)  # the server left: another may take its place

    def _print(self, line: LogLine) -> None:
        if line.type == "api":
            return
        with self._printing:
            if line.seq <= self._seen.get(line.instance, -1) and line.instance:
                return
            self._seen[line.instance] = line.seq
            if self._timestamps or not line.stream:
                console, joined = (stdout(), self._out) if line.stream == "stdout" else (stderr(), self._err)
                shown = as_text(line, timestamps=self._timestamps)
                console.print(Text(joined.before(line)), shown, sep="", soft_wrap=True)
                return
            out, joined = (sys.stdout, self._out) if line.stream == "stdout" else (sys.stderr, self._err)
            print(joined.before(line), line.message, sep="", end=line.ending, file=out, flush=True)


@contextlib.contextmanager
def running(
    app: App, *, detach: bool = False, quiet: bool = False, timestamps: bool = False, replaces: str = ""
) -> Generator[str, None, None]:
    """Have the app up, and its output here, while the block lasts; gives its id. SIGTERM ends it as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    shown = Shown()
    progress: Progress = Silent() if quiet else shown
    tail: Tail | None = None
    try:
        begun = time.time() if replaces else None  # what the version before wrote was shown then
        with Run(app, detach=detach, progress=progress, replaces=replaces):
            assert app.app_id is not None
            tail = Tail(app.app_id, timestamps=timestamps, since=begun)
            yield app.app_id
    finally:
        shown.end()
        if tail is not None:
            tail.close()


def report_user_error(error: BaseException) -> ExitCode:
    """Show an error of the user's program with the user's frames; return the code to end with."""
    if isinstance(error, ConnectionError) and not user_frames(error.__traceback__):  # the server left, not the program
        report(error)
        return exit_code_of(error)
    out = stderr()
    trace = user_traceback(error).rstrip()
    head, _, last = trace.rpartition("\n")
    if head and user_frames(error.__traceback__):
        out.print(head, markup=False, style="dim" if out.is_terminal else "", soft_wrap=True)
        out.print(last, markup=False, style="bold red", soft_wrap=True)
    else:
        out.print(trace, markup=False, soft_wrap=True)
    return exit_code_of(error) if isinstance(error, Error) else ExitCode.PROGRAM


def expect_program() -> None:
    """Make ready to load a program: `import modal` is Freehold, and warnings are shown as its author reads them."""
    alias.install()
    _show_warnings()


def _show_warnings() -> None:
    """Have warnings of ours that no line of the user's led to shown as messages, without a line of our own code."""
    shown = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], filename: str, lineno: int, *rest: Any) -> None:
        if is_ours(filename):
            stderr().print(f"warning: {message}", markup=False, style="yellow", soft_wrap=True)
        else:
            shown(message, category, filename, lineno, *rest)

    warnings.showwarning = show


def value_shown(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
