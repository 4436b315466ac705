"""`freehold secret`: values that functions get as environment variables, kept sealed."""

import io
import json
import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from freehold.cli import control
from freehold.cli.ask import AllowMissing, Json, Yes, confirm
from freehold.cli.output import ago, done, listing
from freehold.cli.table import Column
from freehold.core.errors import InvalidError, NotFoundError
from freehold.protocol.schemas import SecretView

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Keep values that functions get as environment variables."
)
Name = Annotated[str, typer.Argument(help="Name of the secret.", show_default=False)]
Values = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE…", help="Its values; KEY=- reads one from stdin.", show_default=False),
]

_SECRETS: list[Column[SecretView]] = [
    Column("NAME", lambda s: s.name),
    Column("KEYS", lambda s: s.keys, prose=True),
    Column("CREATED", lambda s: ago(s.created), spare=1),
    Column("UPDATED", lambda s: ago(s.updated)),
]


@app.command()
def create(
    name: Name,
    values: Values = None,
    from_dotenv: Annotated[Path | None, typer.Option(help="Take KEY=VALUE lines from this file; - is stdin.")] = None,
    from_json: Annotated[Path | None, typer.Option(help="Take the strings of a JSON object; - is stdin.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace one that is there.")] = False,
) -> None:
    """Create a secret. Its values are encrypted at rest and never shown again.

    Example: [bold]freehold secret create database PGHOST=db PGPASSWORD=-[/bold]
    """
    found: dict[str, str] = {}
    if from_dotenv:
        found |= _dotenv(from_dotenv)
    if from_json:
        found |= _json(from_json)
    found |= dict(_pair(v) for v in values or [])
    if not found:
        raise InvalidError(f"secret {name!r} has no values: give KEY=VALUE, --from-dotenv or --from-json")
    control.put_secret(control.connect(), name, found, force=force)
    done(f"secret {name} with {', '.join(found)}")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List secrets with their keys, never their values.

    Example: [bold]freehold secret list --json[/bold]
    """
    listing(control.secrets(control.connect()), _SECRETS, as_json=as_json, empty="no secrets")


@app.command()
def delete(name: Name, yes: Yes = False, allow_missing: AllowMissing = False) -> None:
    """Delete a secret.

    Example: [bold]freehold secret delete database --yes[/bold]
    """
    confirm(f"Delete secret {name!r}?", yes=yes)
    try:
        control.delete_secret(control.connect(), name)
    except NotFoundError:
        if not allow_missing:
            raise
        return
    done(f"deleted secret {name}")


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InvalidError(f"{text!r} is not of the form KEY=VALUE")
    return key, sys.stdin.read().rstrip("\n") if value == "-" else value


def _dotenv(path: Path) -> dict[str, str]:
    from dotenv import dotenv_values

    return {k: v for k, v in dotenv_values(stream=io.StringIO(_text(path))).items() if v is not None}


def _json(path: Path) -> dict[str, str]:
    try:
        found: Any = json.loads(_text(path))
    except ValueError as error:
        raise InvalidError(f"{path} is no JSON: {error}") from None
    if isinstance(found, dict):
        values = cast("dict[str, Any]", found)
        if all(isinstance(v, str) for v in values.values()):
            return values
    raise InvalidError(f"{path} has to hold one JSON object whose values are strings")


def _text(path: Path) -> str:
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text()
    except OSError as error:
        raise InvalidError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InvalidError(f"{path} is not UTF-8 text: {error}") from None
