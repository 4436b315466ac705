"""What commands print: tables for people, JSON for programs. Colours only on terminals, and never with NO_COLOR."""

import dataclasses
import json
import sys
import time
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, TypeVar, cast

from rich.console import Console
from rich.text import Text

from freehold.cli.table import Column, lines_of, pairs_of

T = TypeVar("T")
_PIPE_WIDTH = 10_000  # so that nothing is cut where no terminal sets the width


@cache
def stdout() -> Console:
    return Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


@cache
def stderr() -> Console:
    return Console(stderr=True, highlight=False, emoji=False, width=None if sys.stderr.isatty() else _PIPE_WIDTH)


def listing(rows: Sequence[T], columns: Sequence[Column[T]], *, as_json: bool, empty: str) -> None:
    """Print rows (dataclasses) as a table, or as a JSON array with all their fields."""
    if as_json:
        print_json(rows)
        return
    if not rows:
        stderr().print(empty, style="dim")
        return
    _print_lines(lines_of(rows, columns, stdout().width))


def facts(pairs: Iterable[tuple[str, Any]]) -> None:
    """Print `name  value` lines, those without a value left out."""
    _print_lines(pairs_of(pairs, stdout().width))


def print_json(value: Any) -> None:
    print(json.dumps(_plain(value), indent=2, ensure_ascii=False))


def note(message: str) -> None:
    """Say something beside the result: on stderr, so that stdout holds the result alone."""
    stderr().print(message, markup=False, style="dim", soft_wrap=True)


def done(message: str) -> None:
    """Say that something was done."""
    stdout().print(Text("✓ ", style="green").append(message, style="default"), soft_wrap=True)


def ago(moment: float | None) -> str:
    """`3 min ago`; empty when there is no moment."""
    return f"{duration(max(0.0, time.time() - moment))} ago" if moment else ""


def ahead(moment: float | None) -> str:
    """`in 3 min`, or `now`; empty when there is no moment."""
    left = moment - time.time() if moment else None
    return "" if left is None else "now" if left <= 0 else f"in {duration(left)}"


def duration(seconds: float | None) -> str:
    """A length of time in the unit that fits: `340 µs`, `12 ms`, `4.2 s`, `3 min`, `5 h`, `2 d`."""
    if seconds is None:
        return ""
    seconds = max(0.0, seconds)  # a clock that was set back between its two ends
    for limit, unit, factor in ((1e-3, "µs", 1e6), (1.0, "ms", 1e3)):
        if seconds < limit:
            return f"{seconds * factor:.0f} {unit}"
    for limit, unit, divisor in ((10.0, "s", 1), (120.0, "s", 1), (7200.0, "min", 60), (172_800.0, "h", 3600)):
        if seconds < limit:
            return f"{seconds / divisor:.1f} {unit}" if limit == 10.0 else f"{seconds / divisor:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def size(count: int | None) -> str:
    """A number of bytes in the unit that fits."""
    if count is None:
        return ""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


_STYLES = {
    "idle": "green", "busy": "green", "running": "cyan", "succeeded": "green", "deployed": "green", "ok": "green",
    "starting": "yellow", "pending": "yellow", "draining": "yellow", "detached": "cyan", "ephemeral": "cyan",
    "failed": "red", "timed_out": "red", "error": "red", "cancelled": "magenta", "stopped": "dim", "offline": "dim",
}  # fmt: skip


def state(value: str) -> Text:
    """A state, in the colour it has everywhere."""
    return Text(str(value), style=_STYLES.get(str(value), ""))


def _print_lines(lines: Iterable[Text]) -> None:
    out = stdout()
    if out.is_terminal:
        out.print(*lines, sep="\n", soft_wrap=True)
    else:
        print(*(line.plain for line in lines), sep="\n")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in cast("Sequence[Any]", value)]
    return value
