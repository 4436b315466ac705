"""`freehold container`: instances, under the name that Modal's users know them by."""

from typing import Annotated

import typer

from freehold.cli import control, logs
from freehold.cli.ask import Json, Pty, Yes, confirm
from freehold.cli.enter import enter, running_container
from freehold.cli.instance import INSTANCES, show
from freehold.cli.output import done, listing
from freehold.core.errors import InvalidError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="List, read, enter and stop containers (instances).")
Id = Annotated[str, typer.Argument(metavar="CONTAINER_ID", help="Id of an instance.", show_default=False)]


@app.command("list")
def list_(
    app_id: Annotated[
        str | None, typer.Option("--app-id", "--app", help="Of this app only.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """List the containers that run, newest first.

    Example: [bold]freehold container list --json[/bold]
    """
    rows = control.instances(control.connect(), {"app": app_id, "live_only": True, "limit": 1000})
    listing(rows, INSTANCES, as_json=as_json, empty="no containers run")


@app.command("exec", context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
def exec_(
    container: Annotated[str, typer.Argument(metavar="CONTAINER_ID", help="Id of a sandbox.", show_default=False)],
    command: Annotated[
        list[str], typer.Argument(metavar="COMMAND...", help="A program and its arguments.", show_default=False)
    ],
    pty: Pty = None,
) -> None:
    """Run a command in a container, and end with its exit code.

    Example: [bold]freehold container exec sb-01a1fdbf16e7ac2d9ab87dac24c9 cat /etc/os-release[/bold]
    """
    argv = command[1:] if command[0] == "--" else command
    if not argv:
        raise InvalidError(f"container exec {container} --: give a program after it")
    raise typer.Exit(enter(running_container(container), argv, pty=pty))


_EXAMPLE = "\n\nExample: [bold]freehold container {} in-01a1fdbf16e7ac2d9ab87dac24c9[/bold]"
app.command("show", help="Show one container, and where the time of its start went." + _EXAMPLE.format("show"))(show)
app.command("logs", help="Read what one container has written." + _EXAMPLE.format("logs"))(logs.instance_logs)


@app.command()
def stop(
    container: Id,
    graceful: Annotated[bool, typer.Option("--graceful", help="Let it finish what it runs.")] = False,
    yes: Yes = False,
) -> None:
    """Stop a container; what it runs is run again in another one.

    Example: [bold]freehold container stop in-01a1fdbf16e7ac2d9ab87dac24c9 --yes[/bold]
    """
    confirm(f"Stop container {container}?", yes=yes)
    control.stop_instance(control.connect(), container, graceful=graceful)
    done(f"stopping {container}")
