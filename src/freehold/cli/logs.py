"""Reading logs: `freehold app logs` and `freehold instance logs`, and how one line is shown."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import typer
from rich.text import Text

from freehold.cli import control
from freehold.cli.ask import Json, moment
from freehold.cli.output import note, stdout
from freehold.core.errors import InvalidError
from freehold.protocol import schemas
from freehold.sdk.tail import Joined, event_fields, event_stack

_LEVELS = {"error": "red", "critical": "bold red", "warning": "yellow", "debug": "dim"}

Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines until interrupted.")]
Since = Annotated[str | None, typer.Option(help="From then on: 10m, 2h, 3d ago, or a local time.", show_default=False)]
Until = Annotated[str | None, typer.Option(help="Up to then.", show_default=False)]
Tail = Annotated[int | None, typer.Option("--tail", "-n", min=0, help="The last N lines only.", show_default=False)]
Search = Annotated[str | None, typer.Option(help="Lines with this text in them.", show_default=False)]
Source = Annotated[
    str | None,
    typer.Option(
        "--source", "-s", help="Of this stream only: stdout, stderr or system.", metavar="SOURCE", show_default=False
    ),
]
Everything = Annotated[bool, typer.Option("--all", hidden=True, help="All lines, as without --tail.")]
ShowFunction = Annotated[bool, typer.Option("--show-function-id", help="Put the function before each line.")]
ShowCall = Annotated[bool, typer.Option("--show-function-call-id", help="Put the call's id before each line.")]
ShowContainer = Annotated[bool, typer.Option("--show-container-id", help="Put the instance's id before each line.")]
Timestamps = Annotated[bool, typer.Option("--timestamps", "-t", help="Put the local time before each line.")]


def logs(
    ref: Annotated[str, typer.Argument(metavar="APP", help="Name of an app, or its id.", show_default=False)],
    follow: Follow = False,
    since: Since = None,
    until: Until = None,
    tail: Tail = None,
    search: Search = None,
    function: Annotated[str | None, typer.Option(help="Of this function only.", show_default=False)] = None,
    call: Annotated[
        str | None, typer.Option("--call", "--function-call", help="Of this call only.", show_default=False)
    ] = None,
    instance: Annotated[
        str | None, typer.Option("--instance", "--container", help="Of this instance only.", show_default=False)
    ] = None,
    source: Source = None,
    show_function: ShowFunction = False,
    show_call: ShowCall = False,
    show_container: ShowContainer = False,
    timestamps: Timestamps = False,
    everything: Everything = False,
    as_json: Json = False,
) -> None:
    """Read what an app has written: while it runs, and long after.

    Example: [bold]freehold app logs ocr-service -f --since 10m --search error[/bold]
    """
    api = control.connect()
    view = control.app(api, ref)  # a name that is not there is an error, not an empty log
    query = {
        "app": view.name, "app_id": ref if ref == view.id else None, "follow": follow, "since": moment(since, "--since"), "until": moment(until, "--until"), "tail": tail,
        "search": search, "function": function, "call": call, "instance": instance, "source": _source(source),
    }  # fmt: skip
    before = Before(time=timestamps, function=show_function, call=show_call, instance=show_container)
    show(control.logs(api, _whole(query if not everything else query | {"tail": None})), before=before, as_json=as_json)


def instance_logs(
    instance: Annotated[str, typer.Argument(metavar="INSTANCE", help="Id of an instance.", show_default=False)],
    follow: Follow = False,
    since: Since = None,
    until: Until = None,
    tail: Tail = None,
    search: Search = None,
    source: Source = None,
    timestamps: Timestamps = False,
    everything: Everything = False,
    as_json: Json = False,
) -> None:
    """Read what one instance has written.

    Example: [bold]freehold instance logs in-01a1fdbf16e7ac2d9ab87dac24c9 -f[/bold]
    """
    api = control.connect()
    view = control.container(api, instance)
    query = {
        "instance": view.id, "follow": follow, "since": moment(since, "--since"), "until": moment(until, "--until"),
        "tail": None if everything else tail, "search": search, "source": _source(source),
    }  # fmt: skip
    show(control.logs(api, _whole(query)), before=Before(time=timestamps), as_json=as_json)


def follow(app_id: str, *, timestamps: bool) -> None:
    """Print what an app writes from now on, until Ctrl-C."""
    query: dict[str, str | int | bool | None] = {"app_id": app_id, "follow": True}
    try:
        show(control.logs(control.connect(), query), before=Before(time=timestamps), as_json=False)
    except KeyboardInterrupt:
        return


@dataclass(frozen=True, kw_only=True)
class Before:
    """What is put before each line."""

    time: bool = False
    function: bool = False
    call: bool = False
    instance: bool = False

    def __bool__(self) -> bool:
        return self.time or self.function or self.call or self.instance

    def of(self, line: "schemas.LogLine") -> str:
        parts = (
            _local_time(line) if self.time else "",
            line.function if self.function else "",
            line.call if self.call else "",
            line.instance if self.instance else "",
        )
        return "".join(f"{part} " for part in parts if part)


def show(lines: "Iterable[schemas.LogLine]", *, before: Before, as_json: bool) -> None:
    """Print lines as they come; on stderr say so when there are none."""
    none, joined = True, Joined()
    for line in lines:
        none = False
        if as_json:
            print_json_line(line)
        elif not before and (line.stream == "stdout" or (line.stream and not stdout().is_terminal)):
            print(joined.before(line), line.message, sep="", end=line.ending, flush=True)  # a tenth of what rich takes
        elif before:
            stdout().print(Text(before.of(line), style="dim").append_text(as_text(line)), soft_wrap=True)
        else:
            stdout().print(Text(joined.before(line)), as_text(line), sep="", end=line.ending, soft_wrap=True)
    stdout().print(joined.rest, end="")
    if none:
        note("no lines")


def as_text(line: "schemas.LogLine", *, timestamps: bool = False) -> Text:
    """Return one line as people read it: the program's own text, with the level and fields of structured events."""
    text = Text().append(f"{_local_time(line)} " if timestamps else "", style="dim")
    style = _LEVELS.get(line.level, "")
    if line.stream:
        return text.append(line.message, style="red" if line.stream == "stderr" and style else "")
    text.append(f"{line.level:<7} ", style=style or "cyan").append(line.message)
    for key, value in event_fields(line):
        text.append(f" {key}=", style="dim").append(str(value))
    return text.append(event_stack(line), style="dim")


def print_json_line(line: "schemas.LogLine") -> None:
    import msgspec

    print(msgspec.json.encode(line).decode(), flush=True)


def _local_time(line: "schemas.LogLine") -> str:
    local = datetime.fromisoformat(line.timestamp).astimezone()
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03d}"


def _source(value: str | None) -> str | None:
    if value not in (None, "stdout", "stderr", "system"):
        raise InvalidError(f"--source {value!r} is none of stdout, stderr and system")
    return value


def _whole(query: Mapping[str, object]) -> dict[str, str | int | bool | None]:
    """Drop what was not asked for; times as the API reads them."""
    return {k: str(v) if isinstance(v, float) else v for k, v in query.items() if v not in (None, False)}  # type: ignore[misc]
