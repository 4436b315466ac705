"""`freehold serve`: run an app until interrupted, and again whenever its files change."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from freehold.cli.errors import ExitCode
from freehold.cli.output import note
from freehold.cli.running import expect_program, running
from freehold.sdk.loader import load_ref

_STOP_S = 20.0


def serve(
    ref: Annotated[str, typer.Argument(metavar="FILE.py[::APP]", help="A program with an App.", show_default=False)],
    module: Annotated[bool, typer.Option("--module", "-m", help="REF is a module: package.module[::APP].")] = False,
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="Name of the app in this run.", show_default=False)
    ] = None,
    reload: Annotated[
        bool, typer.Option("--reload/--no-reload", help="Start again when a file beside the program changes.")
    ] = True,
    timeout: Annotated[float | None, typer.Option(help="Stop after so many seconds.", show_default=False)] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", "-t", help="Put the time before each line.")] = False,
    replaces: Annotated[str, typer.Option(hidden=True)] = "",
    ready_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run an app until Ctrl-C, and again whenever its files change: the way to work on a web endpoint.

    What runs goes on until what you saved is up in its place; while that cannot be loaded or started, it stays.

    Example: [bold]freehold serve service.py[/bold]
    """
    if reload:
        flags = [*(["-m"] if module else []), *(["-t"] if timestamps else []), *(["-n", name] if name else [])]
        _serve_again(Versions([*flags, ref]), _watched(ref, module=module), timeout)
        return
    expect_program()
    app = load_ref(ref, module=module).app
    if name is not None:
        app.rename(name)
    try:
        with running(app, timestamps=timestamps, replaces=replaces) as app_id:
            if ready_fd is not None:
                os.write(ready_fd, app_id.encode())
                os.close(ready_fd)
            _wait(timeout)
    except KeyboardInterrupt:
        pass
    note("stopped")


def _wait(timeout: float | None) -> None:
    try:
        signal.sigtimedwait([], timeout) if timeout else signal.pause()
    except KeyboardInterrupt:
        # a terminal sends it to us and to who started us, who sends it again
        signal.signal(signal.SIGINT, signal.SIG_IGN)


class Versions:
    """One process a version of the program, so that each imports everything anew; a new one takes the app over."""

    def __init__(self, args: list[str]) -> None:
        self._command = [sys.executable, "-P", "-m", "freehold.cli.main", "serve", "--no-reload"]
        self._args = args
        self._process: subprocess.Popen[bytes] | None = None
        self._app_id = ""

    def start(self) -> bool:
        """Start what is on disk now in the place of what runs. Returns False, and lets that run, when it does not come up."""
        reader, writer = os.pipe()
        with os.fdopen(reader, "rb") as told:
            flags = ["--ready-fd", str(writer), *(["--replaces", self._app_id] if self._app_id else [])]
            process = subprocess.Popen([*self._command, *flags, *self._args], pass_fds=[writer])
            os.close(writer)
            try:
                app_id = told.read().decode()
            except KeyboardInterrupt:
                _end(process)
                raise
        if not app_id:
            process.wait()
            return False
        if self._process is not None:
            self._process.kill()  # not asked to end: it would stop the app, which is no longer its own
            self._process.wait()
        self._process, self._app_id = process, app_id
        return True

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        if self._process is not None:
            _end(self._process)


def _serve_again(versions: Versions, folder: Path, timeout: float | None) -> None:
    from watchfiles import PythonFilter, watch

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        versions.start()
        deadline = time.monotonic() + timeout if timeout else None  # from when it is up
        for changes in watch(
            folder, watch_filter=PythonFilter(), rust_timeout=500, yield_on_timeout=True, raise_interrupt=True
        ):
            if deadline is not None and time.monotonic() > deadline:
                break
            if changes:
                note(f"{', '.join(sorted({Path(path).name for _, path in changes}))} changed: starting again")
                if not versions.start() and versions.running:
                    note("it did not come up: the version before goes on")
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.OK) from None
    finally:
        versions.stop()


def _end(process: "subprocess.Popen[bytes]") -> None:
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
