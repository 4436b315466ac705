"""Writes `sqlite_sql.py`: schema and statements as SQL text. Run it after a change of either; a test checks that it is fresh."""

import re
from pathlib import Path
from typing import Any

from sqlalchemy import ClauseElement
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from freehold.server.store import schema, statements

TARGET = Path(__file__).with_name("sqlite_sql.py")
HEAD_REVISION = "0002"

_HEADER = '''"""SQL text for SQLite, written by `python -m freehold.server.store.compile`. Do not edit."""

# ruff: noqa: Q000
# fmt: off

from typing import NamedTuple


class WriteText(NamedTuple):
    """`head` + `row` repeated + `tail` where many rows go in one statement, else `head` alone."""

    table: str
    head: str
    row: str = ""
    tail: str = ""
    order: tuple[int, ...] | None = None  # positions of a row's values in the statement; None: as they come
    checked: tuple[int, ...] = ()


class QueryText(NamedTuple):
    head: str
    conditions: dict[str, str]
    tail: str
    filtered: bool  # `head` has a WHERE


'''


def _sql(clause: ClauseElement, style: str) -> Any:
    return clause.compile(dialect=sqlite.dialect(paramstyle=style))


def _one_line(text: object) -> str:
    return re.sub(r"\s+", " ", str(text)).strip()


def schema_text() -> list[str]:
    """DDL in dependency order, then indexes by name."""
    dialect = sqlite.dialect()
    tables = [_one_line(CreateTable(t).compile(dialect=dialect)) for t in schema.metadata.sorted_tables]
    indexes = sorted((i for t in schema.metadata.sorted_tables for i in t.indexes), key=lambda i: str(i.name))
    return tables + [_one_line(CreateIndex(i).compile(dialect=dialect)) for i in indexes]


def _write_text(statement: statements.WriteStatement) -> str:
    compiled = _sql(statement.clause, "qmark")
    sql, fields = _one_line(compiled), (*statement.fields, *(f"{c}_crc" for c in statement.checked))
    order = tuple(fields.index(name) for name in compiled.positiontup)
    parts: dict[str, Any] = {"table": statement.table, "head": sql}
    if match := re.search(r"VALUES (\([?, ]+\))", sql):
        parts |= {"head": sql[: match.start(1)], "row": match[1], "tail": sql[match.end(1) :]}
    if order != tuple(range(len(fields))):
        parts["order"] = order
    if statement.checked:
        parts["checked"] = tuple(statement.fields.index(c) for c in statement.checked)
    return f"WriteText({', '.join(f'{k}={v!r}' for k, v in parts.items())})"


def _query_text(query: statements.Query) -> str:
    head = _one_line(_sql(query.clause, "named"))
    conditions = {name: f"({_one_line(_sql(c, 'named'))})" for name, c in query.conditions.items()}
    filtered = query.clause.whereclause is not None
    return f"QueryText(head={head!r}, conditions={conditions!r}, tail={query.tail!r}, filtered={filtered})"


def render() -> str:
    writes = "".join(f"    {n!r}: {_write_text(w)},\n" for n, w in statements.writes().items())
    queries = "".join(f"    {n!r}: {_query_text(q)},\n" for n, q in statements.queries().items())
    ddl = "".join(f"    {line!r},\n" for line in schema_text())
    return (
        f"{_HEADER}HEAD = {HEAD_REVISION!r}\n\nSCHEMA: tuple[str, ...] = (\n{ddl})\n\n"
        f"WRITES: dict[str, WriteText] = {{\n{writes}}}\n\nQUERIES: dict[str, QueryText] = {{\n{queries}}}\n"
    )


if __name__ == "__main__":
    TARGET.write_text(render())
