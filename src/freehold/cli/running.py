"""A program while it runs here: its app up, its instances' output on our stdout and stderr, its errors as its author reads them."""

import contextlib
import signal
import sys
import time
import warnings
from collections.abc import Generator
from typing import Any

from rich.text import Text

from freehold.cli import commands
from freehold.cli.errors import ExitCode, exit_code_of, report
from freehold.cli.logs import as_text
from freehold.cli.output import note, stderr, stdout
from freehold.cli.progress import Shown
from freehold.core.errors import ConnectionError, Error
from freehold.core.home import Home
from freehold.modal import alias
from freehold.protocol import schemas
from freehold.sdk.app import App, Run
from freehold.sdk.context import is_local
from freehold.sdk.running import Progress, Silent
from freehold.sdk.tail import Joined, Tail
from freehold.sdk.tracebacks import is_ours, user_frames, user_traceback


class Printed:
    """Prints lines as they were written; with timestamps, and events, as people read them."""

    def __init__(self, *, timestamps: bool) -> None:
        self._timestamps = timestamps
        self._out, self._err = Joined(), Joined()

    def __call__(self, line: "schemas.LogLine") -> None:
        if self._timestamps or not line.stream:
            console, joined = (stdout(), self._out) if line.stream == "stdout" else (stderr(), self._err)
            shown = as_text(line, timestamps=self._timestamps)
            console.print(Text(joined.before(line)), shown, sep="", soft_wrap=True)
            return
        out, joined = (sys.stdout, self._out) if line.stream == "stdout" else (sys.stderr, self._err)
        print(joined.before(line), line.message, sep="", end=line.ending, file=out, flush=True)


@contextlib.contextmanager
def running(
    app: App,
    *,
    detach: bool = False,
    quiet: bool = False,
    timestamps: bool = False,
    replaces: str = "",
    interactive: bool = False,
) -> Generator[str, None, None]:
    """Have the app up, and its output here, while the block lasts; gives its id. SIGTERM ends it as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    shown = Shown()
    progress: Progress = Silent() if quiet else shown
    tail: Tail | None = None
    try:
        begun = time.time() if replaces else None  # what the version before wrote was shown then
        with Run(app, detach=detach, progress=progress, replaces=replaces, interactive=interactive):
            assert app.app_id is not None
            tail = Tail(app.app_id, Printed(timestamps=timestamps), since=begun)
            yield app.app_id
    finally:
        shown.end()
        if tail is not None:
            tail.close()


def report_user_error(error: BaseException) -> ExitCode:
    """Show an error of the user's program with the user's frames; return the code to end with."""
    trace = user_traceback(error).rstrip()
    head, _, last = trace.rpartition("\n")
    # no code of the user's raised it: the server left, or what was asked for cannot be
    if (
        isinstance(error, Error)
        and not user_frames(error.__traceback__)
        and (isinstance(error, ConnectionError) or not head)
    ):
        report(error)
        return exit_code_of(error)
    out = stderr()
    if head and user_frames(error.__traceback__):
        out.print(head, markup=False, style="dim" if out.is_terminal else "", soft_wrap=True)
        out.print(last, markup=False, style="bold red", soft_wrap=True)
    else:
        out.print(trace, markup=False, soft_wrap=True)
    return exit_code_of(error) if isinstance(error, Error) else ExitCode.PROGRAM


def expect_program() -> None:
    """Make ready to load a program: `modal`, imported or run, is Freehold, and warnings are shown as its author reads them."""
    alias.install()
    if alias.wanted() and is_local():  # an instance has them in its image
        _front_commands()
    _show_warnings()


def _front_commands() -> None:
    try:
        commands.front(Home.default())
    except (OSError, Error) as error:  # a home that only reads can do without
        note(f"programs that run `modal` get what PATH has: {error}")


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
