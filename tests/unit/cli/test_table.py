"""Tables at several widths: what one may copy stays whole, and no line is longer than it has to be."""

from dataclasses import dataclass

from freehold.cli.table import Column, lines_of, pairs_of

_ID = "in-01a1fdbf16e7ac2d9ab87dac24c9"


@dataclass(frozen=True)
class Row:
    id: str
    name: str
    note: str = ""


_COLUMNS: list[Column[Row]] = [
    Column("ID", lambda r: r.id),
    Column("NAME", lambda r: r.name, spare=1),
    Column("NOTE", lambda r: r.note, prose=True),
]
_ROWS = [
    Row(_ID, "first", "short"),
    Row(_ID, "음성인식", "a note of some length that has to be wrapped over a few lines"),
]


def _drawn(width: int) -> list[str]:
    return [line.plain for line in lines_of(_ROWS, _COLUMNS, width)]


def test_all_columns_where_the_width_allows() -> None:
    head, first, second = _drawn(1000)
    assert head == f"{'ID':<31}  NAME      NOTE"
    assert first == f"{_ID}  first     short"
    assert second == f"{_ID}  음성인식  {_ROWS[1].note}"  # a Korean letter takes two cells


def test_what_can_be_spared_goes_first_then_prose_wraps() -> None:
    lines = _drawn(70)
    assert lines[0] == f"{'ID':<31}  NOTE"
    assert len(lines) > 3
    assert max(map(len, lines)) <= 70
    assert " ".join(line[33:] for line in lines[2:]) == _ROWS[1].note


def test_one_block_a_row_where_no_table_fits() -> None:
    lines = _drawn(40)
    assert lines[:4] == [f"ID    {_ID}", "NAME  first", "NOTE  short", ""]
    assert f"ID    {_ID}" in lines[4:]


def test_an_address_is_never_broken() -> None:
    link = "http://127.0.0.1:8700/login?code=vRESzZB4K0VOC9l6LNGM64Y5DXUZWfZZ"
    lines = [line.plain for line in pairs_of([("sign in", link), ("nothing", None), ("home", "/x")], 40)]
    assert lines == [f"sign in  {link}", "home     /x"]


def test_no_line_ends_in_spaces() -> None:
    assert all(line == line.rstrip() for width in (1000, 70, 40) for line in _drawn(width))
