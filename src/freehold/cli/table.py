"""Tables of text that fit the terminal: nothing that one may want to copy is ever broken over lines.

Where the width is short, columns that can be spared go first, then prose wraps; a table that still does not fit becomes one
block a row.
"""

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from rich.text import Text

T = TypeVar("T")
_GAP = "  "
_PROSE = 24  # the narrowest that prose is wrapped to, in cells


@dataclass(frozen=True)
class Column(Generic[T]):
    """One column of a listing."""

    title: str
    value: Callable[[T], Any]
    right: bool = False
    spare: int = 0  # left out where the width is short, the highest first; 0: never
    prose: bool = False  # words, which may wrap


def lines_of(rows: Sequence[T], columns: Sequence[Column[T]], width: int) -> Iterator[Text]:
    """Draw rows under their titles, in at most `width` cells where that can be done."""
    cells = [[_cell(c.value(row)) for c in columns] for row in rows]
    needed = [max(len(_GAP), *(r[i].cell_len for r in cells), Text(c.title).cell_len) for i, c in enumerate(columns)]
    shown = list(range(len(columns)))
    while _total(needed, shown) > width and any(columns[i].spare for i in shown):
        shown.remove(max(shown, key=lambda i: columns[i].spare))
    _squeeze(needed, shown, columns, width)
    if _total(needed, shown) > width:
        yield from _blocks(cells, columns, width)
        return
    head = [Text(c.title, style="bold") for c in columns]
    for row in (head, *cells):
        yield from _row(row, columns, needed, shown)


def pairs_of(pairs: Iterable[tuple[str, Any]], width: int) -> Iterator[Text]:
    """Draw `name  value` lines, those without a value left out; long values wrap at their words under themselves."""
    kept = [(name, _cell(value)) for name, value in pairs if value not in (None, "", (), {})]
    left = max((Text(name).cell_len for name, _ in kept), default=0)
    for name, value in kept:
        for i, line in enumerate(_wrapped(value, max(_PROSE, width - left - len(_GAP)))):
            title = _padded(Text().append("" if i else name, style="bold"), left)
            yield title.append(_GAP).append_text(line)


def _total(needed: Sequence[int], shown: Sequence[int]) -> int:
    return sum(needed[i] for i in shown) + len(_GAP) * (len(shown) - 1)


def _squeeze(needed: list[int], shown: Sequence[int], columns: Sequence[Column[Any]], width: int) -> None:
    """Narrow the columns of prose, the widest first, until the row fits."""
    for i in sorted((i for i in shown if columns[i].prose), key=lambda i: -needed[i]):
        over = _total(needed, shown) - width
        needed[i] = max(min(needed[i], _PROSE), needed[i] - max(over, 0))


def _row(
    row: Sequence[Text], columns: Sequence[Column[Any]], needed: Sequence[int], shown: Sequence[int]
) -> Iterator[Text]:
    parts = [_wrapped(row[i], needed[i]) if columns[i].prose else [row[i]] for i in shown]
    for n in range(max(map(len, parts))):
        line = Text(_GAP).join(
            _padded(part[n] if n < len(part) else Text(), needed[i], right=columns[i].right)
            for i, part in zip(shown, parts, strict=True)
        )
        line.rstrip()
        yield line


def _blocks(cells: Sequence[Sequence[Text]], columns: Sequence[Column[Any]], width: int) -> Iterator[Text]:
    for n, row in enumerate(cells):
        if n:
            yield Text()
        yield from pairs_of(((c.title, cell) for c, cell in zip(columns, row, strict=True) if cell.plain), width)


def _wrapped(value: Text, width: int) -> list[Text]:
    """Break at spaces only: an address or an id stays whole, and the terminal wraps it."""
    if value.cell_len <= width and "\n" not in value.plain:
        return [value]
    broken = (
        textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False) or [""]
        for line in value.plain.splitlines()
    )
    return [Text(line, style=value.style) for lines in broken for line in lines]


def _padded(text: Text, width: int, *, right: bool = False) -> Text:
    padding = " " * (width - text.cell_len)
    return Text(padding).append_text(text) if right else text.copy().append(padding)


def _cell(value: Any) -> Text:
    if isinstance(value, Text):
        return value
    if isinstance(value, tuple):
        return Text(", ".join(map(str, cast("tuple[Any, ...]", value))))
    return Text("" if value is None else str(value))
