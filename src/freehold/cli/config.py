"""`freehold config`: the settings, and where each comes from."""

from typing import Annotated, Any

import typer

from freehold.cli.ask import Json
from freehold.cli.output import listing
from freehold.cli.table import Column
from freehold.core.errors import NotFoundError
from freehold.core.suggest import did_you_mean

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Show the settings and where each comes from.")

_SETTINGS: list[Column[dict[str, Any]]] = [
    Column("SETTING", lambda s: s["name"]),
    Column("VALUE", lambda s: s["value"], prose=True),
    Column("FROM", lambda s: s["from"], prose=True),
    Column("ABOUT", lambda s: s["about"], prose=True),
]


@app.callback()
def _group() -> None:
    """Show the settings and where each comes from.

    Flags of `freehold up` stand over the environment (FREEHOLD_…), that over freehold.toml in the home, that over the defaults.
    """


@app.command()
def show(
    name: Annotated[str | None, typer.Argument(metavar="SETTING", help="One setting only.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Show each setting of the server and of the client, secrets redacted.

    Example: [bold]freehold config show port[/bold]
    """
    rows = [*_server_rows(), *_client_rows()]
    known = [r["name"] for r in rows]
    if name is not None:
        rows = [r for r in rows if r["name"].lower() == name.lower()]
        if not rows:
            near = did_you_mean(name, known)
            raise NotFoundError(f"there is no setting {name!r}{near or '; see `freehold config show`'}")
    listing(rows, _SETTINGS, as_json=as_json, empty="no settings")


def _server_rows() -> list[dict[str, Any]]:
    from freehold.server.settings import Settings, load, source

    settings = load()
    return [
        {
            "name": key,
            "value": _shown(getattr(settings, key)),
            "from": source(key, {}).removeprefix("from "),
            "about": field.description or "",
        }
        for key, field in Settings.model_fields.items()
    ]


def _client_rows() -> list[dict[str, Any]]:
    import os

    about = {
        "FREEHOLD_SERVER": ("a server elsewhere; unset: the one of this home", False),
        "FREEHOLD_TOKEN": ("its token; unset: the one of this home", True),
    }
    return [
        {
            "name": key,
            "value": "•••" if secret and os.environ.get(key) else os.environ.get(key, ""),
            "from": f"the environment, {key}" if key in os.environ else "the default",
            "about": words,
        }
        for key, (words, secret) in about.items()
    ]


def _shown(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float, type(None))) else str(value)
