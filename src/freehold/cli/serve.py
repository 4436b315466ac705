"""`freehold serve`: run an app until interrupted, and again whenever its files change."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from freehold.cli.errors import ExitCode
from freehold.cli.output import note
from freehold.cli.running import running, show_warnings
from freehold.sdk.loader import load_ref

_STOP_S = 20.0


def serve(
    ref: Annotated[str, typer.Argument(metavar="FILE.py[::APP]", help="A program with an App.", show_default=False)],
    module: Annotated[bool, typer.Option("--module", "-m", help="REF is a module: package.module[::APP].")] = False,
    reload: Annotated[
        bool, typer.Option("--reload/--no-reload", help="Start again when a file beside the program changes.")
    ] = True,
    timeout: Annotated[float | None, typer.Option(help="Stop after so many seconds.", show_default=False)] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", "-t", help="Put the time before each line.")] = False,
) -> None:
    """Run an app until Ctrl-C, and again whenever its files change: the way to work on a web endpoint.

    Example: [bold]freehold serve service.py[/bold]
    """
    if reload:
        _serve_again(ref, module=module, timeout=timeout, timestamps=timestamps)
        return
    show_warnings()
    loaded = load_ref(ref, module=module)
    try:
        with running(loaded.app, timestamps=timestamps):
            signal.sigtimedwait([], timeout) if timeout else signal.pause()
    except KeyboardInterrupt:
        note("stopped")


def _serve_again(ref: str, *, module: bool, timeout: float | None, timestamps: bool) -> None:
    """Run `serve --no-reload` in a process of its own, so that each start imports everything anew."""
    from watchfiles import PythonFilter, watch

    flags = [*(["-m"] if module else []), *(["-t"] if timestamps else [])]
    command = [sys.executable, "-m", "freehold.cli.main", "serve", "--no-reload", *flags, ref]
    deadline = time.monotonic() + timeout if timeout else None
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    process = subprocess.Popen(command)
    try:
        for changes in watch(
            _watched(ref, module=module),
            watch_filter=PythonFilter(),
            rust_timeout=500,
            yield_on_timeout=True,
            raise_interrupt=True,
        ):
            if deadline is not None and time.monotonic() > deadline:
                break
            if changes:
                note(f"{', '.join(sorted({Path(path).name for _, path in changes}))} changed: starting again")
                _stop(process)
                process = subprocess.Popen(command)
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.OK) from None
    finally:
        _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(_STOP_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()


def _watched(ref: str, *, module: bool) -> Path:
    """The folder whose Python files matter: the program's, or the working directory for a module."""
    return Path.cwd() if module else Path(ref.partition("::")[0]).resolve().parent
