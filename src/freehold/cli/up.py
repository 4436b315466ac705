"""`freehold up`: starts the server, here or on its own.

The server's start is timed from this command's: what only says how it went is imported when there is something to say.
"""

import contextlib
import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, BinaryIO, NoReturn

import typer

from freehold.cli.errors import ExitCode
from freehold.cli.local import ServerFile, find, holder
from freehold.core.errors import ConflictError, Error, TimeoutError
from freehold.core.home import Home, make_private, unusable

_READY_S = 60.0
_POLL_S = 0.02


def up(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the dashboard and the API.", show_default="8700")] = None,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Listen beyond loopback; the token is then asked for.")
    ] = False,
    host_apt: Annotated[
        bool,
        typer.Option(
            "--host-apt", help="Let builds of images install missing Debian packages on this machine; as root."
        ),
    ] = False,
    missing_apt: Annotated[
        str | None,
        typer.Option(
            metavar="error|warn",
            help="What builds do that lack Debian packages: fail, or warn and go on.",
            show_default="error",
        ),
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when the server is ready, and leave it running.")
    ] = False,
) -> None:
    """Start the server on this machine: the scheduler, the API, the dashboard.

    Everything it keeps lies under FREEHOLD_HOME (default ~/.freehold). Stop it with Ctrl-C or [bold]freehold down[/bold].

    Example: [bold]freehold up --detach --port 9000[/bold]
    """
    home = Home.default()
    if holder(home):
        raise _taken(home)
    flags = {
        "host": host, "port": port, "allow_remote": allow_remote or None, "host_apt": host_apt or None, "missing_apt": missing_apt,
    }  # fmt: skip
    if detach:
        _up_detached(home, flags)
    else:
        _up_here(flags)


def _up_here(flags: Mapping[str, object]) -> None:
    gc.disable()  # nothing that imports make is garbage, and walking it takes a tenth of the start; the server turns it on
    from freehold.server.app import serve
    from freehold.server.settings import load

    def ready(url: str) -> None:
        link = sys.stdout.isatty()
        threading.Thread(target=_announce, args=(url,), kwargs={"link": link}, daemon=True).start()

    serve(load(**flags), ready=ready)


def _up_detached(home: Home, flags: Mapping[str, object]) -> None:
    log = home.logs / "server.log"
    make_private(home.root)
    make_private(home.logs)
    options = [
        f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}")
        for name, value in flags.items()
        if value is not None
    ]
    with _open_log(log) as output:
        begun = output.tell()
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "freehold.cli.main", "up", *options],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd="/", env=_anywhere(home),
        )  # fmt: skip
    server = _wait_ready(home, process)
    if server is None and process.poll() is not None and holder(home):
        raise _taken(home)  # another `up` was quicker; the log is both's
    if server is None:
        _tell_failure(log, begun, process)
    _announce(server.url, link=True)
    typer.echo(f"logs: {log}\nstop it with: freehold down", err=True)


def _anywhere(home: Home) -> dict[str, str]:
    """The environment of a server that is in no folder of the user's: with what names one relative to here made absolute."""
    env = {**os.environ, "FREEHOLD_HOME": str(home.root)}
    if folders := os.environ.get("PYTHONPATH"):
        env["PYTHONPATH"] = os.pathsep.join(str(Path(f).absolute()) for f in folders.split(os.pathsep) if f)
    return env


def _taken(home: Home) -> ConflictError:
    running = find(home)
    if running is None:
        return ConflictError(
            f"a server (pid {holder(home)}) starts or ends in {home.root}: try again in a moment, or end it with `freehold down`"
        )
    return ConflictError(
        f"a server runs in {home.root} already (pid {running.pid}, {running.url}): use it, stop it with `freehold down`, "
        f"or set FREEHOLD_HOME to start a second one"
    )


def _open_log(path: Path) -> BinaryIO:
    """Open the server's log behind a line of our own: where that cannot be written, nobody would hear why the server ends."""
    try:
        log = path.open("ab")
        log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} freehold up --detach\n".encode())
        log.flush()
    except OSError as error:
        raise unusable(error, path) from error
    return log


def _tell_failure(log: Path, begun: int, process: "subprocess.Popen[bytes]") -> NoReturn:
    """Show what the server said before it ended, and end with its code."""
    with log.open("rb") as file:
        file.seek(begun)
        said = file.read().decode(errors="replace").strip()
    if process.poll() is None:
        process.terminate()
        raise TimeoutError(f"the server was not ready within {_READY_S:g} s; its log is {log}\n{said[-2000:]}")
    typer.echo(said[-4000:] or f"the server ended with code {process.returncode}; its log is {log}", err=True)
    raise typer.Exit(process.returncode if process.returncode > 0 else ExitCode.SERVER)


def _wait_ready(home: Home, process: "subprocess.Popen[bytes]") -> ServerFile | None:
    """Wait until the server that was started answers; None when it ends before, or takes too long."""
    from freehold.cli import control

    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        server = find(home)
        if server is not None and server.pid == process.pid:
            with contextlib.suppress(Error):
                control.status(control.connect())
                return server
        if process.poll() is not None:
            return None
        time.sleep(_POLL_S)
    return None


def _announce(url: str, *, link: bool) -> None:
    """Print where the server is, and the link that signs in to its dashboard; links stay out of files."""
    from freehold.cli import control

    with contextlib.suppress(Error):
        how = control.sign_in_link(control.connect(), url) if link else "freehold status --link"
        typer.echo(f"{typer.style('✓', fg='green')} Freehold is up at {typer.style(url, bold=True)}\n  sign in: {how}")
