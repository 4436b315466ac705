"""A command in a container that runs, at this terminal or between pipes."""

import contextlib
import os
import signal
import sys
from collections.abc import Sequence

from freehold.cli.errors import ExitCode
from freehold.core.errors import Error, InvalidError, UnimplementedError
from freehold.core.ids import is_id
from freehold.sdk.attach import attach
from freehold.sdk.sandbox import ExecOptions, Sandbox


def running_container(ref: str) -> Sandbox:
    """The sandbox of this id."""
    if is_id(ref, "sb"):
        return Sandbox.from_id(ref)
    if is_id(ref, "in"):
        raise UnimplementedError(
            f"{ref} is an instance of a function, and no command can be run beside that; for one with the same image, files, "
            "secrets and volumes: freehold shell FILE.py::FUNCTION"
        )
    raise InvalidError(f"{ref!r} is no id of a container, such as sb-01a1fdbf16e7ac2d9ab87dac24c9")


def enter(sandbox: Sandbox, argv: Sequence[str], *, pty: bool | None) -> int:
    """Run a command in it, joined with our streams; its exit code. Unless told, it has a terminal where we have one."""
    terminal = sys.stdin.isatty() and sys.stdout.isatty() if pty is None else pty
    options = ExecOptions(text=False)
    if terminal:
        options |= {"pty": True, "env": {"TERM": os.environ.get("TERM", "xterm-256color")}}
    for number in (signal.SIGTERM, signal.SIGHUP):  # the terminal is to be left as it was
        signal.signal(number, signal.default_int_handler)
    process = sandbox.exec(*argv, **options)
    try:
        return attach(process, terminal=terminal)
    except KeyboardInterrupt:
        with contextlib.suppress(Error):
            process.signal(signal.SIGHUP if terminal else signal.SIGINT)
        return ExitCode.INTERRUPTED
