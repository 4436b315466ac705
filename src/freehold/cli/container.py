"""`freehold container`: what runs, instances and sandboxes, under the name that Modal's users know them by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import typer

from freehold.cli import control, instance, logs
from freehold.cli.ask import Json, Pty, Yes, confirm
from freehold.cli.enter import enter
from freehold.cli.output import ago, done, facts, listing, print_json, state
from freehold.cli.table import Column
from freehold.core.errors import InvalidError
from freehold.core.ids import is_id
from freehold.protocol.schemas import InstanceView, SandboxView

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="List, read, enter and stop containers: instances and sandboxes."
)
Id = Annotated[str, typer.Argument(metavar="CONTAINER_ID", help="Id of an instance or a sandbox.", show_default=False)]
_MOST = 1000


@dataclass(frozen=True, kw_only=True)
class Container:
    """An instance or a sandbox, in a list. Times are seconds since the epoch."""

    id: str
    app_id: str
    app: str
    function: str | None  # None: a sandbox
    name: str | None  # of a sandbox
    state: str
    started: float
    running: int | None  # inputs
    devices: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


_COLUMNS: list[Column[Container]] = [
    Column("CONTAINER", lambda c: c.id),
    Column("APP", lambda c: c.app),
    Column("FUNCTION", lambda c: c.function or f"sandbox {c.name or ''}".rstrip()),
    Column("STATE", lambda c: state(c.state)),
    Column("RUNNING", lambda c: c.running, right=True, spare=2),
    Column("DEVICES", lambda c: c.devices, spare=3),
    Column("TAGS", lambda c: tuple(f"{k}={v}" for k, v in c.tags.items()), spare=4),
    Column("STARTED", lambda c: ago(c.started), spare=1),
]


@app.command("list")
def list_(
    app_id: Annotated[
        str | None, typer.Option("--app-id", "--app", help="Of this app only.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """List the containers that run, instances and sandboxes, newest first.

    Example: [bold]freehold container list --json[/bold]
    """
    api, query = control.connect(), {"app": app_id, "live_only": True, "limit": _MOST}
    found = [*map(_of_instance, control.instances(api, query)), *map(_of_sandbox, control.sandboxes(api, query))]
    found.sort(key=lambda c: -c.started)
    listing(found, _COLUMNS, as_json=as_json, empty="no containers run")


@app.command("exec", context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
def exec_(
    container: Id,
    command: Annotated[
        list[str], typer.Argument(metavar="COMMAND...", help="A program and its arguments.", show_default=False)
    ],
    pty: Pty = None,
) -> None:
    """Run a command in a container, and end with its exit code. It ends with the container, and with this one.

    In an instance it has what the function has: files, variables with those of secrets, working directory, network and limits.

    Example: [bold]freehold container exec in-01a1fdbf16e7ac2d9ab87dac24c9 cat /etc/os-release[/bold]
    """
    argv = command[1:] if command[0] == "--" else command
    if not argv:
        raise InvalidError(f"container exec {container} --: give a program after it")
    raise typer.Exit(enter(container, argv, pty=pty))


@app.command()
def show(container: Id, as_json: Json = False) -> None:
    """Show one container; of an instance, where the time of its start went.

    Example: [bold]freehold container show in-01a1fdbf16e7ac2d9ab87dac24c9[/bold]
    """
    if not is_id(container, "sb"):
        instance.show(container, as_json)
        return
    view = control.container(control.connect(), container)
    assert isinstance(view, SandboxView)
    if as_json:
        print_json(view)
        return
    facts(
        [
            ("sandbox", view.id), ("app", view.app), ("name", view.name), ("tags", " ".join(f"{k}={v}" for k, v in view.tags.items())),
            ("state", state(view.state)), ("reason", view.reason), ("exit code", view.returncode), ("image", view.image[:12]),
            ("started", ago(view.created)), ("ended", ago(view.ended)),
        ]
    )  # fmt: skip


_EXAMPLE = "\n\nExample: [bold]freehold container {} in-01a1fdbf16e7ac2d9ab87dac24c9[/bold]"
app.command("logs", help="Read what one container has written." + _EXAMPLE.format("logs"))(logs.instance_logs)


@app.command()
def stop(
    container: Id,
    graceful: Annotated[
        bool, typer.Option("--graceful", help="Let it finish what it runs. Of instances only.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Stop a container. What an instance runs is run again in another one; a sandbox ends for good.

    Example: [bold]freehold container stop in-01a1fdbf16e7ac2d9ab87dac24c9 --yes[/bold]
    """
    sandbox = is_id(container, "sb")
    if sandbox and graceful:
        raise InvalidError(f"--graceful: {container} is a sandbox, which has no inputs to finish: leave it out")
    confirm(f"Stop container {container}?", yes=yes)
    api = control.connect()
    if sandbox:
        control.container(api, container)  # one that never was is an error
        control.terminate(api, container)
    else:
        control.stop_instance(api, container, graceful=graceful)
    done(f"stopping {container}")


def _of_instance(i: InstanceView) -> Container:
    return Container(
        id=i.id, app_id=i.app_id, app=i.app, function=i.function, name=None, state=i.state, started=i.created, running=i.running,
        devices=i.devices,
    )  # fmt: skip


def _of_sandbox(s: SandboxView) -> Container:
    return Container(
        id=s.id, app_id=s.app_id, app=s.app, function=None, name=s.name, state=s.state, started=s.created, running=None, tags=s.tags
    )  # fmt: skip
