"""What the tables say: rows with their aims, medians over rounds, and how many times better Freehold is than each peer."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

OURS = "freehold"


@dataclass(frozen=True)
class Row:
    """One figure; `aim` is the most that it may be, or the least when `more` is better."""

    key: str
    title: str
    unit: str
    aim: float | None = None
    more: bool = False

    def met(self, value: float) -> bool | None:
        return None if self.aim is None else (value >= self.aim if self.more else value <= self.aim)

    def ratio(self, theirs: float, ours: float) -> float:
        """How many times better ours is."""
        return ours / theirs if self.more else theirs / ours


Figures = Mapping[str, float]


def medians(rounds: Iterable[Figures]) -> dict[str, float]:
    """The median of each figure over the rounds that have it."""
    values: dict[str, list[float]] = {}
    for figures in rounds:
        for key, value in figures.items():
            values.setdefault(key, []).append(value)
    return {key: statistics.median(v) for key, v in values.items()}


def show(title: str, rows: Sequence[Row], peers: Mapping[str, Figures]) -> None:
    """Print a table: ours, its aim, and each peer with its ratio."""
    others = [name for name in peers if name != OURS and any(r.key in peers[name] for r in rows)]
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("", "aim", OURS, "", *others):
        table.add_column(heading, justify="left" if heading == "" else "right", no_wrap=True)
    ours = peers.get(OURS, {})
    for row in rows:
        if any(row.key in figures for figures in peers.values()):
            cells = (_beside(row, peers[name].get(row.key), ours.get(row.key)) for name in others)
            value = ours.get(row.key)
            table.add_row(f"{row.title}, {row.unit}", _aim(row), number(value), _verdict(row, value), *cells)
    console = Console()
    Console(width=max(console.width, 140) if not console.is_terminal else None).print(table)


def number(value: float | None) -> str:
    """Three digits that matter, and no more than are there."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _aim(row: Row) -> str:
    return "" if row.aim is None else f"{'≥' if row.more else '≤'} {number(row.aim)}"


def _verdict(row: Row, value: float | None) -> str:
    met = None if value is None else row.met(value)
    return {None: "", True: "[green]met[/]", False: "[red]missed[/]"}[met]


def _beside(row: Row, theirs: float | None, ours: float | None) -> str:
    if theirs is None or not ours:
        return number(theirs)
    return f"{number(theirs)} [dim]x{number(row.ratio(theirs, ours))}[/]"
