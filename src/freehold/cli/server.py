"""`freehold up`, `down` and `status`: the server on this machine, as a process."""

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from freehold.cli import control
from freehold.cli.ask import Json
from freehold.cli.errors import ExitCode
from freehold.cli.output import ago, done, facts, note, print_json, stderr, stdout
from freehold.core.errors import ConflictError, Error, TimeoutError
from freehold.core.home import Home

_READY_S = 60.0
_POLL_S = 0.02


class ServerFile(msgspec.Struct):
    """What a running server says of itself in its home."""

    pid: int
    url: str
    version: str = ""
    protocol: int = 0
    started: float = 0.0
    id: str = ""


def up(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the dashboard and the API.", show_default="8700")] = None,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Listen beyond loopback; the token is then asked for.")
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when the server is ready, and leave it running.")
    ] = False,
) -> None:
    """Start the server on this machine: the scheduler, the API, the dashboard.

    Everything it keeps lies under FREEHOLD_HOME (default ~/.freehold). Stop it with Ctrl-C or [bold]freehold down[/bold].

    Example: [bold]freehold up --detach --port 9000[/bold]
    """
    home = Home.default()
    running = find(home)
    if running:
        raise ConflictError(
            f"a server runs in {home.root} already (pid {running.pid}, {running.url}): use it, stop it with `freehold down`, "
            f"or set FREEHOLD_HOME to start a second one"
        )
    flags = {"host": host, "port": port, "allow_remote": allow_remote or None}
    if detach:
        _up_detached(home, flags)
    else:
        _up_here(home, flags)


def down(
    timeout: Annotated[float, typer.Option(help="Seconds that running inputs get to finish.")] = 30.0,
) -> None:
    """Stop the server of this home and everything it runs. Deployed apps come back with the next [bold]freehold up[/bold]."""
    home = Home.default()
    server = find(home)
    if server is None:
        note(f"no server runs in {home.root}")
        return
    os.kill(server.pid, signal.SIGTERM)
    if not _gone(server.pid, timeout):
        os.kill(server.pid, signal.SIGKILL)
        _gone(server.pid, 5.0)
        note(f"the server did not end within {timeout:g} s, so it was killed; finished results are kept")
    home.server_file.unlink(missing_ok=True)
    done(f"stopped the server (pid {server.pid})")


def status(
    as_json: Json = False,
    link: Annotated[bool, typer.Option("--link", help="Print only a fresh sign-in link of the dashboard.")] = False,
) -> None:
    """Show the server, its machine and its load, and a fresh sign-in link of the dashboard."""
    api = control.connect()
    view = control.status(api)
    if as_json:
        print_json(view)
        return
    sign_in = control.sign_in_link(api, view.url)
    if link:
        print(sign_in)
        return
    missing = [f"{name}: {state}" for name, state in view.guards.items() if state != "ok"]
    facts(
        [
            (
                "server",
                f"{view.url} (freehold {view.version}, pid {view.pid}, up {ago(view.started).removesuffix(' ago')})",
            ),
            ("sign in", sign_in),
            ("home", view.home),
            ("cores", f"{view.cpu_reserved:g} of {view.cpu_total:g} reserved"),
            ("memory", f"{view.memory_reserved_mib} of {view.memory_total_mib} MiB reserved"),
            ("devices", view.devices or "none"),
            ("apps", view.apps),
            ("instances", view.instances),
            ("inputs", f"{view.running} running, {view.backlog} waiting"),
            ("guards", "all in place" if not missing else "\n".join(missing)),
        ]
    )


def find(home: Home) -> ServerFile | None:
    """Return the server that runs in this home; None when there is none, or only the file of one that died."""
    try:
        server = msgspec.json.decode(home.server_file.read_bytes(), type=ServerFile)
    except (OSError, msgspec.DecodeError):
        return None
    return server if _locked(home.lock) and _alive(server.pid) else None


def _alive(pid: int) -> bool:
    """Tell whether this process runs; one that was killed may hold the home for a moment longer."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def _locked(path: Path) -> bool:
    """Tell whether a process holds the home; a pid alone may belong to another process by now."""
    import fcntl

    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _up_here(home: Home, flags: Mapping[str, object]) -> None:
    gc.disable()  # nothing that imports make is garbage, and walking it takes a tenth of the start; the server turns it on
    from freehold.server.app import serve
    from freehold.server.settings import load

    settings = load(**flags)
    threading.Thread(target=_announce, args=(home, os.getpid(), sys.stdout.isatty()), daemon=True).start()
    serve(settings)


def _up_detached(home: Home, flags: Mapping[str, object]) -> None:
    from freehold.server.settings import load

    load(**flags)  # a wrong setting is told here, not in a log
    log = home.logs / "server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    options = [
        f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}")
        for name, value in flags.items()
        if value is not None
    ]
    with log.open("ab") as output:
        begun = output.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "freehold.cli.main", "up", *options],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    server = _wait_ready(home, process.pid, process)
    if server is None:
        _tell_failure(log, begun, process)
    _announce(home, process.pid, link=True)
    note(f"logs: {log}\nstop it with: freehold down")


def _tell_failure(log: Path, begun: int, process: "subprocess.Popen[bytes]") -> None:
    """Show what the server said before it ended, and end with its code."""
    with log.open("rb") as file:
        file.seek(begun)
        said = file.read().decode(errors="replace").strip()
    if process.poll() is None:
        process.terminate()
        raise TimeoutError(f"the server was not ready within {_READY_S:g} s; its log is {log}\n{said[-2000:]}")
    stderr().print(
        said[-4000:] or f"the server ended with code {process.returncode}; its log is {log}",
        markup=False,
        soft_wrap=True,
    )
    raise typer.Exit(process.returncode if process.returncode > 0 else ExitCode.SERVER)


def _wait_ready(home: Home, pid: int, process: "subprocess.Popen[bytes] | None" = None) -> ServerFile | None:
    """Wait until the server with this pid answers; None when it ends before, or takes too long."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        server = find(home)
        if server is not None and server.pid == pid:
            with contextlib.suppress(Error):
                control.status(control.connect())
                return server
        if process is not None and process.poll() is not None:
            return None
        time.sleep(_POLL_S)
    return None


def _announce(home: Home, pid: int, link: bool) -> None:
    """Print where the server is, and the link that signs in to its dashboard; links stay out of files."""
    server = _wait_ready(home, pid)
    if server is None:
        return
    with contextlib.suppress(Error):
        out = stdout()
        out.print(f"[green]✓[/green] Freehold is up at [bold]{server.url}[/bold]", soft_wrap=True)
        how = control.sign_in_link(control.connect(), server.url) if link else "freehold status --link"
        out.print(f"  sign in: {how}", markup=False, soft_wrap=True)


def _gone(pid: int, timeout_s: float) -> bool:
    """Wait until a process that is not our child has ended."""
    import select

    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], timeout_s)[0])
    finally:
        os.close(fd)
