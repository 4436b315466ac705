"""`freehold down` and `status`: the server that runs."""

import os
import signal
from typing import Annotated

import typer

from freehold.cli import control
from freehold.cli.ask import Json
from freehold.cli.local import holder, wait_gone
from freehold.cli.output import ago, done, facts, note, print_json
from freehold.core.home import Home


def down(
    timeout: Annotated[float, typer.Option(help="Seconds that running inputs get to finish.")] = 30.0,
) -> None:
    """Stop the server of this home and everything it runs. Deployed apps come back with the next [bold]freehold up[/bold].

    Example: [bold]freehold down --timeout 5[/bold]
    """
    home = Home.default()
    pid = holder(home)
    if pid is None:
        note(f"no server runs in {home.root}")
        return
    os.kill(pid, signal.SIGTERM)
    if not wait_gone(pid, timeout):
        os.kill(pid, signal.SIGKILL)
        wait_gone(pid, 5.0)
        home.server_file.unlink(missing_ok=True)
        note(f"the server did not end within {timeout:g} s, so it was killed; finished results are kept")
    done(f"stopped the server (pid {pid})")


def status(
    as_json: Json = False,
    link: Annotated[bool, typer.Option("--link", help="Print only a fresh sign-in link of the dashboard.")] = False,
) -> None:
    """Show the server, its machine and its load, and a fresh sign-in link of the dashboard.

    Example: [bold]freehold status --link[/bold]
    """
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
