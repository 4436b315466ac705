"""`freehold instance`: list, show, read and stop instances."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from freehold.cli import control, logs
from freehold.cli.ask import Json
from freehold.cli.output import ago, done, duration, facts, listing, print_json, state, stdout
from freehold.cli.table import Column
from freehold.core.waterfall import span_s, steps
from freehold.protocol.schemas import InstanceView

app = typer.Typer(no_args_is_help=True, add_completion=False, help="List, show and stop instances.")
Id = Annotated[str, typer.Argument(metavar="INSTANCE", help="Id of an instance.", show_default=False)]
_BAR = 40
_LABELS = 25  # cells that a phase and its duration take beside the bar

INSTANCES: list[Column[InstanceView]] = [
    Column("INSTANCE", lambda i: i.id),
    Column("APP", lambda i: i.app),
    Column("FUNCTION", lambda i: i.function),
    Column("STATE", lambda i: state(i.state)),
    Column("RUNNING", lambda i: f"{i.running}/{i.slots}", right=True, spare=2),
    Column("DEVICES", lambda i: i.devices, spare=3),
    Column("STARTED", lambda i: ago(i.created), spare=1),
    Column("READY IN", lambda i: duration(i.ready - i.created) if i.ready else "", right=True, spare=4),
    Column("PID", lambda i: i.pid, right=True, spare=5),
]


@app.command("list")
def list_(
    name: Annotated[str | None, typer.Option("--app", help="Of this app only.", show_default=False)] = None,
    function: Annotated[str | None, typer.Option(help="Of this function only.", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Those that are gone, too.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="At most so many.")] = 100,
    as_json: Json = False,
) -> None:
    """List instances, newest first.

    Example: [bold]freehold instance list --app ocr-service --all[/bold]
    """
    query = {"app": name, "function": function, "live_only": not everything, "limit": limit}
    rows = control.instances(control.connect(), query)
    listing(
        rows,
        INSTANCES,
        as_json=as_json,
        empty="no instances" if everything else "no instances run; --all lists those that are gone, too",
    )


@app.command()
def show(instance: Id, as_json: Json = False) -> None:
    """Show one instance, and where the time of its start went.

    Example: [bold]freehold instance show in-01a1fdbf16e7ac2d9ab87dac24c9[/bold]
    """
    view = control.instance(control.connect(), instance)
    if as_json:
        print_json(view)
        return
    devices = ", ".join(view.devices) + (" (simulated)" if view.simulated else "")
    facts(
        [
            ("instance", view.id), ("app", f"{view.app} (version {view.version})"), ("function", view.function),
            ("state", state(view.state)), ("reason", view.reason), ("running", f"{view.running} of {view.slots} at once"),
            ("devices", devices), ("cores", view.cpu), ("memory", f"{view.memory_mib} MiB"), ("pid", view.pid),
            ("started", ago(view.created)), ("ended", ago(view.ended)),
        ]
    )  # fmt: skip
    stdout().print(waterfall(view))


app.command("logs")(logs.instance_logs)


@app.command()
def stop(instance: Id) -> None:
    """Stop an instance: what it runs is finished or run again elsewhere.

    Example: [bold]freehold instance stop in-01a1fdbf16e7ac2d9ab87dac24c9[/bold]
    """
    control.stop_instance(control.connect(), instance)
    done(f"stopping {instance}")


def waterfall(view: InstanceView) -> Table:
    """Draw the phases of a start as bars on one time axis, each where the one before it ended."""
    phases = steps(view.phases)
    bar_width = max(_BAR // 4, min(_BAR, stdout().width - _LABELS))
    total = span_s(phases) or 1.0
    table = Table(box=None, pad_edge=False, title="start", title_justify="left", title_style="bold", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, width=bar_width)
    table.add_column(justify="right", no_wrap=True)
    begun = 0.0
    for phase, seconds in phases.items():
        left = min(round(begun / total * bar_width), bar_width - 1)
        width = max(1, min(round((begun + seconds) / total * bar_width), bar_width) - left)
        bar = Text(" " * left).append("█" * width if seconds > 0 else "▏", style="cyan")
        table.add_row(Text(phase.replace("_", " ")), bar, duration(seconds))
        begun += seconds
    table.add_row(Text("total", style="bold"), "", Text(duration(view.phases.get("total", begun)), style="bold"))
    return table
