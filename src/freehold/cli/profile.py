"""`freehold profile`: which server the commands talk to."""

from typing import Annotated, Any

import typer

from freehold.cli.ask import Json
from freehold.cli.output import done, listing, stdout
from freehold.cli.table import Column
from freehold.core.home import Home
from freehold.sdk.profiles import Profile, chosen, load

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Choose the server that commands talk to.")

_PROFILES: list[Column[dict[str, Any]]] = [
    Column("PROFILE", lambda p: p["name"]),
    Column("ACTIVE", lambda p: "yes" if p["active"] else ""),
    Column("SERVER", lambda p: p["server"] or "(the home's own)"),
]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List profiles; tokens are not shown.

    Example: [bold]freehold profile list[/bold]
    """
    home = Home.default()
    active = chosen(home).name
    rows = [_row(p, active) for p in load(home).all]
    listing(rows, _PROFILES, as_json=as_json, empty="no profiles")


@app.command()
def current() -> None:
    """Print the name of the profile in use.

    Example: [bold]freehold profile current[/bold]
    """
    stdout().print(chosen(Home.default()).name)


@app.command()
def activate(
    name: Annotated[str, typer.Argument(metavar="PROFILE", help="Name of a profile.", show_default=False)],
) -> None:
    """Use a profile from now on; FREEHOLD_PROFILE and [bold]freehold --profile[/bold] stand over it.

    Example: [bold]freehold profile activate gpu-box[/bold]
    """
    profiles = load(Home.default())
    profiles.active = profiles.get(name).name
    profiles.save()
    done(f"profile {name}")


def _row(profile: Profile, active: str) -> dict[str, Any]:
    return {"name": profile.name, "active": profile.name == active, "server": profile.server}
