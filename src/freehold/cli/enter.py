"""A command in a container that runs, at this terminal or between pipes."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence

from freehold.cli import control
from freehold.cli.errors import ExitCode
from freehold.cli.output import note
from freehold.core.errors import Error, InvalidError
from freehold.core.ids import is_id
from freehold.protocol.schemas import CommandRequest
from freehold.sdk.attach import attach
from freehold.sdk.container_process import ContainerProcess, Reading

_TERMINAL = (24, 80)  # until it is told how large ours is
_RECORD_S, _LOOK_S = 5.0, 0.05


def enter(container: str, argv: Sequence[str], *, pty: bool | None) -> int:
    """Run a command in a sandbox or an instance, joined with our streams; its exit code. Unless told, it has a terminal where we have one.

    It ends when we do.
    """
    terminal = sys.stdin.isatty() and sys.stdout.isatty() if pty is None else pty
    env = {"TERM": os.environ.get("TERM", "xterm-256color")} if terminal else {}
    request = CommandRequest(argv=tuple(argv), env=env, terminal=_TERMINAL if terminal else None, attached=True)
    for number in (signal.SIGTERM, signal.SIGHUP):  # the terminal is to be left as it was
        signal.signal(number, signal.default_int_handler)
    api = control.connect()
    path = control.container_path(_checked(container))
    view = control.run_command(api, path, request)
    process: ContainerProcess[bytes] = ContainerProcess(lambda: api, path, view.id, Reading(text=False))
    try:
        code = attach(process, terminal=terminal)
    except KeyboardInterrupt:
        with contextlib.suppress(Error):
            process.signal(signal.SIGHUP if terminal else signal.SIGINT)
        return ExitCode.INTERRUPTED
    if process.view().cut_off:
        _say_why(container)
    return code


def _checked(ref: str) -> str:
    if is_id(ref, "sb") or is_id(ref, "in"):
        return ref
    raise InvalidError(
        f"{ref!r} is no id of a container, such as in-01a1fdbf16e7ac2d9ab87dac24c9: `freehold container list` shows those that run"
    )


def _say_why(container: str) -> None:
    """Its end is on record a moment after that of its commands."""
    deadline = time.monotonic() + _RECORD_S
    with contextlib.suppress(Error):
        while (view := control.container(control.connect(), container)).ended is None and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        note(f"{container} has ended: {view.reason or view.state.value}")
