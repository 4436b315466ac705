"""`freehold call`: list, show and cancel calls."""

from typing import Annotated

import typer

from freehold.cli import control
from freehold.cli.ask import Json, moment
from freehold.cli.output import ago, done, duration, facts, listing, print_json, size, state, stdout
from freehold.cli.table import Column
from freehold.core.states import CallKind, CallState
from freehold.protocol.schemas import CallView, InputView

app = typer.Typer(no_args_is_help=True, add_completion=False, help="List, show and cancel calls.")
Id = Annotated[str, typer.Argument(metavar="CALL", help="Id of a call.", show_default=False)]


def _took(view: CallView | InputView) -> str:
    return duration(view.ended - view.started) if view.started and view.ended else ""


_CALLS: list[Column[CallView]] = [
    Column("CALL", lambda c: c.id),
    Column("APP", lambda c: c.app),
    Column("FUNCTION", lambda c: c.function),
    Column("KIND", lambda c: c.kind, spare=2),
    Column("STATE", lambda c: state(c.state)),
    Column("INPUTS", lambda c: f"{c.succeeded}/{c.inputs}", right=True, spare=3),
    Column("CREATED", lambda c: ago(c.created)),
    Column("TOOK", _took, right=True, spare=1),
]
_INPUTS: list[Column[InputView]] = [
    Column("INPUT", lambda i: i.index, right=True),
    Column("STATE", lambda i: state(i.state)),
    Column("ATTEMPT", lambda i: i.attempt, right=True, spare=1),
    Column("INSTANCE", lambda i: i.instance),
    Column("WAITED", lambda i: duration(i.started - i.created) if i.started else "", right=True, spare=2),
    Column("TOOK", _took, right=True),
    Column("ARGS", lambda i: size(i.args_bytes), right=True, spare=4),
    Column("RESULT", lambda i: size(i.result_bytes), right=True, spare=3),
    Column("ERROR", lambda i: i.error, prose=True),
]


@app.command("list")
def list_(
    name: Annotated[str | None, typer.Option("--app", help="Of this app only.", show_default=False)] = None,
    function: Annotated[str | None, typer.Option(help="Of this function only.", show_default=False)] = None,
    in_state: Annotated[CallState | None, typer.Option("--state", help="In this state only.")] = None,
    kind: Annotated[CallKind | None, typer.Option(help="Made in this way only.")] = None,
    since: Annotated[str | None, typer.Option(help="Created since: 10m, 2h, 3d ago, or a local time.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List calls, newest first.

    Example: [bold]freehold call list --app ocr-service --state failed --since 1h[/bold]
    """
    after = moment(since, "--since")
    query = {
        "app": name, "function": function, "state": in_state, "kind": kind,
        "since": None if after is None else str(after), "limit": limit,
    }  # fmt: skip
    listing(control.calls(control.connect(), query), _CALLS, as_json=as_json, empty="no calls")


@app.command()
def show(call: Id, as_json: Json = False) -> None:
    """Show one call: its inputs, attempts, times and error.

    Example: [bold]freehold call show fc-01a1fdbf3c3938cb738c7ef5ddfb[/bold]
    """
    detail = control.call(control.connect(), call)
    if as_json:
        print_json(detail)
        return
    view = detail.call
    facts(
        [
            ("call", view.id), ("app", view.app), ("function", view.function), ("kind", view.kind), ("state", state(view.state)),
            ("created", ago(view.created)), ("took", _took(view)), ("parent", view.parent), ("error", view.error),
        ]
    )  # fmt: skip
    if view.kind != "web":  # a request's body is its instance's alone
        listing(list(detail.inputs), _INPUTS, as_json=False, empty="its inputs are no longer kept")
    for failed in (i for i in detail.inputs if i.traceback):
        stdout().print(f"\ninput {failed.index}:", style="bold")
        stdout().print(failed.traceback, markup=False, soft_wrap=True)


@app.command()
def cancel(
    call: Id,
    terminate: Annotated[bool, typer.Option("--terminate", help="End the instances that run it, too.")] = False,
) -> None:
    """Cancel a call: what waits never runs, what runs is stopped.

    Example: [bold]freehold call cancel fc-01a1fdbf3c3938cb738c7ef5ddfb[/bold]
    """
    api = control.connect()
    state = control.call(api, call).call.state
    if state.final:
        done(f"{call} had ended already: {state.value}")
        return
    control.cancel(api, call, terminate=terminate)
    done(f"cancelled {call}")
