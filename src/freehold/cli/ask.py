"""Options and questions that several groups share."""

import re
import sys
import time
from datetime import datetime
from typing import Annotated

import typer

from freehold.core.errors import InvalidError

Json = Annotated[bool, typer.Option("--json", help="Print JSON, with every field.")]
AllowMissing = Annotated[bool, typer.Option("--allow-missing", help="It is no error when there is none.")]
Pty = Annotated[
    bool | None,
    typer.Option("--pty/--no-pty", help="Give it a terminal, or pipes; by default as here.", show_default=False),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is lost; without a terminal only `--yes` answers."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidError(f"{question} There is no terminal to ask on: pass --yes")
    typer.confirm(question, abort=True)


def moment(value: str | None, option: str) -> float | None:
    """Read `10m`, `2h`, `3d` (that long ago) or a time as seconds since the epoch; a time without an offset is local, as it is shown."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", value)
    if match:
        return time.time() - float(match[1]) * _UNITS[match[2]]
    try:
        return datetime.fromisoformat(value).astimezone().timestamp()
    except (ValueError, OverflowError):
        raise InvalidError(f"{option}={value!r} is no time: write 30s, 10m, 2h, 3d, or 2026-01-31T12:00:00Z") from None
