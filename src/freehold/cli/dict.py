"""`freehold dict`: keys and values that programs share. What is shown is unpickled here, never on the server."""

from itertools import islice
from typing import Annotated, Any

import typer

from freehold.cli import control
from freehold.cli.ask import AllowMissing, Json, Yes, confirm
from freehold.cli.output import ago, done, listing, note, print_json
from freehold.cli.pickled import as_text, plain, shown
from freehold.cli.table import Column
from freehold.core.errors import NotFoundError
from freehold.protocol.stored import DictView
from freehold.sdk.dict import Dict, unread_items

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Keep keys and values that programs share.")
Name = Annotated[str, typer.Argument(metavar="DICT", help="Name of the dict.", show_default=False)]

_DICTS: list[Column[DictView]] = [Column("NAME", lambda d: d.name), Column("CREATED", lambda d: ago(d.created))]
_ITEMS: list[Column[tuple[str, str]]] = [Column("KEY", lambda r: r[0]), Column("VALUE", lambda r: r[1])]
_ABSENT: Any = object()


@app.command()
def create(name: Name) -> None:
    """Create a dict, if there is none of that name.

    Example: [bold]freehold dict create settings[/bold]
    """
    Dict.from_name(name, create_if_missing=True).hydrate()
    done(f"dict {name}")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List dicts, the newest first.

    Example: [bold]freehold dict list --json[/bold]
    """
    listing(control.dicts(control.connect()), _DICTS, as_json=as_json, empty="no dicts")


@app.command()
def get(
    name: Name,
    key: Annotated[str, typer.Argument(help="The key, as text.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Print the value of a key. Keys of other types than text are found with `items`.

    Example: [bold]freehold dict get settings threshold[/bold]
    """
    value = shown(lambda: Dict.from_name(name).get(key, _ABSENT))
    if value is _ABSENT:
        raise NotFoundError(
            f"dict {name!r} has no key {key!r} (of text); `freehold dict items {name} --repr` shows those it has"
        )
    print_json(plain(value)) if as_json else typer.echo(str(value))


@app.command()
def items(
    name: Name,
    n: Annotated[int, typer.Argument(min=1, help="How many at most.")] = 20,
    all_: Annotated[bool, typer.Option("--all", "-a", help="Show all, however many.")] = False,
    use_repr: Annotated[bool, typer.Option("--repr", "-r", help="Show keys and values as Python writes them.")] = False,
    as_json: Json = False,
) -> None:
    """Print keys and values.

    Example: [bold]freehold dict items settings 50 --repr[/bold]
    """
    unread = unread_items(Dict.from_name(name))
    pairs = [(shown(key), shown(value)) for key, value in (unread if all_ else islice(unread, n))]
    more = next(unread, None) is not None
    unread.close()
    if as_json:
        print_json([[plain(key), plain(value)] for key, value in pairs])
    else:
        rows = [(as_text(key, use_repr=use_repr), as_text(value, use_repr=use_repr)) for key, value in pairs]
        listing(rows, _ITEMS, as_json=False, empty=f"dict {name} is empty")
    if more:
        note(f"the first {n} only; --all shows all")


@app.command()
def clear(name: Name, yes: Yes = False) -> None:
    """Remove all keys and values of a dict.

    Example: [bold]freehold dict clear settings --yes[/bold]
    """
    confirm(f"Remove everything in dict {name!r}?", yes=yes)
    Dict.from_name(name).clear()
    done(f"cleared dict {name}")


@app.command()
def delete(name: Name, allow_missing: AllowMissing = False, yes: Yes = False) -> None:
    """Delete a dict with all that is in it.

    Example: [bold]freehold dict delete settings --yes[/bold]
    """
    confirm(f"Delete dict {name!r} and all that is in it?", yes=yes)
    Dict.objects.delete(name, allow_missing=allow_missing)
    done(f"deleted dict {name}")
