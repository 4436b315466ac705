"""`freehold token`: with which token, and on which server, commands work."""

import os
import sys
from typing import Annotated

import typer

from freehold.cli import control
from freehold.cli.ask import Json
from freehold.cli.output import done, facts, print_json
from freehold.core.errors import InvalidError
from freehold.core.home import Home
from freehold.sdk.config import discover, remote
from freehold.sdk.http import Api
from freehold.sdk.profiles import VARIABLE, Profile, load

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Set the token for a server elsewhere.")


@app.command("set")
def set_(
    server: Annotated[str, typer.Option(help="URL of the server, such as https://gpu-box:8700.", show_default=False)],
    token_secret: Annotated[
        str | None, typer.Option(help="Its token; else asked for, or read from stdin.", show_default=False)
    ] = None,
    profile: Annotated[str, typer.Option(help="The profile to keep it in.")] = "default",
    activate: Annotated[bool, typer.Option("--activate/--no-activate", help="Use it from now on.")] = True,
    verify: Annotated[bool, typer.Option("--verify/--no-verify", help="Ask the server whether it takes it.")] = True,
) -> None:
    """Keep the address and the token of a server under a name. The token is the content of the file `token` in that server's home.

    Example: [bold]freehold token set --profile gpu-box --server https://gpu-box:8700[/bold]
    """
    token = token_secret or _ask()
    if not token.strip() or not token.isprintable():
        raise InvalidError(
            "the token is empty, or not one line of text: give the content of the file `token` in the server's home"
        )
    kept = Profile(name=profile, server=server.rstrip("/"), token=token.strip())
    target = remote(kept.server, kept.token, f"profile {profile!r}")
    if verify:
        control.status(Api(target))
    profiles = load(Home.default())
    profiles.put(kept)
    profiles.active = profile if activate else profiles.active
    profiles.save()
    done(f"profile {profile}{' is active' if activate else ''}")


@app.command()
def info(as_json: Json = False) -> None:
    """Show the server that is asked, and where its token comes from; never the token.

    Example: [bold]freehold token info[/bold]
    """
    target = discover()
    status = control.status(Api(target))
    profile = os.environ.get(VARIABLE) or load(Home.default()).active
    found = {"server": target.api, "token_from": target.token_source, "profile": profile, "version": status.version}
    if as_json:
        print_json(found)
    else:
        facts(
            [
                ("server", found["server"]),
                ("token from", found["token_from"]),
                ("profile", profile),
                ("version", found["version"]),
            ]
        )


def _ask() -> str:
    return typer.prompt("Token", hide_input=True) if sys.stdin.isatty() else sys.stdin.read().strip()
