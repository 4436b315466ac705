"""`freehold queue`: items that programs hand to each other. What is shown is unpickled here, never on the server."""

from itertools import islice
from typing import Annotated

import typer

from freehold.cli import control
from freehold.cli.ask import AllowMissing, Json, Yes, confirm
from freehold.cli.output import ago, done, listing, print_json
from freehold.cli.pickled import plain, shown
from freehold.cli.table import Column
from freehold.protocol.stored import QueueView
from freehold.sdk.queue import Queue, unread_items

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Look into queues that programs share.")
Name = Annotated[str, typer.Argument(metavar="QUEUE", help="Name of the queue.", show_default=False)]
Partition = Annotated[str | None, typer.Option("--partition", "-p", help="This partition, not the one without a name.")]

_QUEUES: list[Column[QueueView]] = [
    Column("NAME", lambda q: q.name),
    Column("CREATED", lambda q: ago(q.created), spare=1),
    Column("PARTITIONS", lambda q: q.partitions, right=True),
    Column("ITEMS", lambda q: q.items, right=True),
]


@app.command()
def create(name: Name) -> None:
    """Create a queue, if there is none of that name.

    Example: [bold]freehold queue create jobs[/bold]
    """
    Queue.from_name(name, create_if_missing=True).hydrate()
    done(f"queue {name}")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List queues, the newest first, with the partitions that hold items.

    Example: [bold]freehold queue list --json[/bold]
    """
    listing(control.queues(control.connect()), _QUEUES, as_json=as_json, empty="no queues")


@app.command()
def peek(
    name: Name,
    n: Annotated[int, typer.Argument(min=1, help="How many at most.")] = 1,
    partition: Partition = None,
    as_json: Json = False,
) -> None:
    """Print the next items, and leave them there.

    Example: [bold]freehold queue peek jobs 5 --partition urgent[/bold]
    """
    unread = unread_items(Queue.from_name(name), partition)
    values = [shown(read) for read in islice(unread, n)]
    unread.close()
    if as_json:
        print_json([plain(value) for value in values])
    else:
        for value in values:
            typer.echo(str(value))


@app.command("len")
def len_(
    name: Name,
    partition: Partition = None,
    total: Annotated[bool, typer.Option("--total", "-t", help="Of all partitions together.")] = False,
    as_json: Json = False,
) -> None:
    """Print how many items a partition has, or all of them.

    Example: [bold]freehold queue len jobs --total[/bold]
    """
    count = Queue.from_name(name).len(partition=partition, total=total)
    print_json(count) if as_json else typer.echo(count)


@app.command()
def clear(
    name: Name,
    partition: Partition = None,
    all_: Annotated[bool, typer.Option("--all", "-a", help="Clear all partitions.")] = False,
    yes: Yes = False,
) -> None:
    """Remove the items of a partition, or of all.

    Example: [bold]freehold queue clear jobs --all --yes[/bold]
    """
    what = "all partitions" if all_ else f"partition {partition!r}" if partition else "the partition without a name"
    confirm(f"Remove the items of {what} of queue {name!r}?", yes=yes)
    Queue.from_name(name).clear(partition=partition, all=all_)
    done(f"cleared {what} of queue {name}")


@app.command()
def delete(name: Name, allow_missing: AllowMissing = False, yes: Yes = False) -> None:
    """Delete a queue with all that is in it.

    Example: [bold]freehold queue delete jobs --yes[/bold]
    """
    confirm(f"Delete queue {name!r} and all that is in it?", yes=yes)
    Queue.objects.delete(name, allow_missing=allow_missing)
    done(f"deleted queue {name}")
