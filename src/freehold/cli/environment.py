"""`freehold environment`: apart from each other, the same names may be used in each."""

from typing import Annotated

import typer

from freehold.cli import control
from freehold.cli.ask import Json, Yes, confirm
from freehold.cli.output import ago, done, listing
from freehold.cli.table import Column
from freehold.protocol.schemas import EnvironmentView

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Keep apps and data apart, such as those of development and production.",
)
Name = Annotated[str, typer.Argument(metavar="ENVIRONMENT", help="Name of the environment.", show_default=False)]

_ENVIRONMENTS: list[Column[EnvironmentView]] = [
    Column("NAME", lambda e: e.name),
    Column("CREATED", lambda e: ago(e.created)),
]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List environments.

    Example: [bold]freehold environment list[/bold]
    """
    listing(control.environments(control.connect()), _ENVIRONMENTS, as_json=as_json, empty="no environments")


@app.command()
def create(name: Name) -> None:
    """Make an environment; commands take it as --env, programs as FREEHOLD_ENVIRONMENT.

    Example: [bold]freehold environment create dev[/bold], [bold]freehold deploy --env dev service.py[/bold]
    """
    control.create_environment(control.connect(), name)
    done(f"environment {name}")


@app.command()
def delete(name: Name, yes: Yes = False) -> None:
    """Delete an environment with its apps, secrets and data.

    Example: [bold]freehold environment delete dev --yes[/bold]
    """
    confirm(f"Delete environment {name!r} with all its apps, secrets and data?", yes=yes)
    control.delete_environment(control.connect(), name)
    done(f"deleted environment {name}")
