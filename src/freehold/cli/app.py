"""`freehold app`: list, show, read, stop and roll back apps."""

from typing import Annotated

import typer

from freehold.cli import control, logs
from freehold.cli.ask import Json, Yes, confirm
from freehold.cli.output import ago, ahead, done, facts, listing, print_json, state
from freehold.cli.table import Column
from freehold.core.errors import InvalidError
from freehold.core.states import AppState
from freehold.protocol.schemas import AppView, FunctionView, VersionView

app = typer.Typer(no_args_is_help=True, add_completion=False, help="List, read, stop and roll back apps.")
Ref = Annotated[str, typer.Argument(metavar="APP", help="Name of an app, or its id.", show_default=False)]

_APPS: list[Column[AppView]] = [
    Column("NAME", lambda a: a.name),
    Column("STATE", lambda a: state(a.state)),
    Column("VERSION", lambda a: a.version, right=True, spare=2),
    Column("FUNCTIONS", lambda a: len(a.functions), right=True, spare=3),
    Column("INSTANCES", lambda a: a.instances, right=True),
    Column("CREATED", lambda a: ago(a.created), spare=1),
    Column("ID", lambda a: a.id),
]
_FUNCTIONS: list[Column[FunctionView]] = [
    Column("FUNCTION", lambda f: f.name),
    Column("CPU", lambda f: f"{f.cpu:g}", right=True, spare=4),
    Column("MEMORY MIB", lambda f: f.memory_mib, right=True, spare=3),
    Column("GPU", lambda f: f.gpu, spare=1),
    Column("INSTANCES", lambda f: f.instances, right=True, spare=2),
    Column("RUNNING", lambda f: f.running, right=True),
    Column("WAITING", lambda f: f.backlog, right=True),
    Column("ENDPOINTS", lambda f: " ".join(f.endpoints.values()), prose=True),
]
_SCHEDULES: list[Column[FunctionView]] = [
    Column("FUNCTION", lambda f: f.name),
    Column("SCHEDULE", lambda f: f.schedule),
    Column("NEXT RUN", lambda f: ahead(f.next_run)),
]
_VERSIONS: list[Column[VersionView]] = [
    Column("VERSION", lambda v: f"{v.version}{' (current)' if v.current else ''}"),
    Column("DEPLOYED", lambda v: ago(v.created)),
    Column("TAG", lambda v: v.tag),
    Column("CLIENT", lambda v: v.client, spare=1),
    Column("FUNCTIONS", lambda v: v.functions, prose=True),
]


@app.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", "-a", help="Stopped ones too.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0: all.")] = 0,
    as_json: Json = False,
) -> None:
    """List apps that run or are deployed.

    Example: [bold]freehold app list --json[/bold]
    """
    known = control.apps(control.connect())
    rows = [a for a in known if everything or a.state != "stopped"][: limit or None]
    stopped = "no apps that run or are deployed; `freehold app list --all` lists those that have stopped"
    none = "no apps; run one with `freehold run` or `freehold deploy`"
    listing(rows, _APPS, as_json=as_json, empty=stopped if known else none)


@app.command()
def show(ref: Ref, as_json: Json = False) -> None:
    """Show one app: its functions, endpoints and instances.

    Example: [bold]freehold app show ocr-service[/bold]
    """
    view: AppView = control.app(control.connect(), ref)
    if as_json:
        print_json(view)
        return
    facts(
        [
            ("app", view.name), ("id", view.id), ("state", state(view.state)), ("version", view.version),
            ("created", ago(view.created)), ("from", view.description),
            ("tags", ", ".join(f"{k}={v}" for k, v in view.tags.items())),
        ]
    )  # fmt: skip
    listing(list(view.functions), _FUNCTIONS, as_json=False, empty="no functions")
    if scheduled := [f for f in view.functions if f.schedule]:
        print()
        listing(scheduled, _SCHEDULES, as_json=False, empty="")


app.command("logs")(logs.logs)


@app.command()
def stop(ref: Ref, yes: Yes = False) -> None:
    """Stop an app: its instances end, its calls are cancelled, its endpoints close.

    Example: [bold]freehold app stop ocr-service --yes[/bold]
    """
    api = control.connect()
    view = control.app(api, ref)
    if view.state is AppState.STOPPED:
        done(f"{view.name} had stopped already")
        return
    if view.id != ref and view.state is not AppState.DEPLOYED:
        _only_one(control.apps(api), view)
    confirm(f"Stop app {view.name!r} and cancel its calls?", yes=yes)
    control.stop_app(api, view.id)
    done(f"stopped {view.name}")


@app.command()
def history(ref: Ref, as_json: Json = False) -> None:
    """List the versions of a deployed app, newest first.

    Example: [bold]freehold app history ocr-service[/bold]
    """
    rows = sorted(control.history(control.connect(), ref), key=lambda v: -v.version)
    listing(rows, _VERSIONS, as_json=as_json, empty=f"app {ref} was never deployed")


@app.command()
def rollback(
    ref: Ref,
    version: Annotated[
        str | None, typer.Argument(help="Version to go back to, as 3 or v3.", show_default="the one before")
    ] = None,
) -> None:
    """Deploy an earlier version again, as a new version.

    Example: [bold]freehold app rollback ocr-service 3[/bold]
    """
    number = None if version is None else version.removeprefix("v")
    if number is not None and not (number.isascii() and number.isdigit()):
        raise InvalidError(f"{version!r} is no version: write a number, as `freehold app history {ref}` shows them")
    handle = control.rollback(control.connect(), ref, None if number is None else int(number))
    done(f"{handle.name} is now at version {handle.version}")


def _only_one(apps: list[AppView], meant: AppView) -> None:
    """A name is not enough where several runs share it."""
    ids = [a.id for a in apps if a.name == meant.name and a.state is not AppState.STOPPED]
    if len(ids) > 1:
        raise InvalidError(f"{len(ids)} apps named {meant.name!r} run: stop them by id ({', '.join(ids)})")
