"""The SQL text is fresh, and the rows fit their tables."""

from typing import Any

import pytest
import sqlalchemy as sa

from freehold.server.store import compile as compile_sql
from freehold.server.store import rows, schema, sqlite_sql, statements

ROWS: dict[str, Any] = {
    "calls": rows.CallRow, "attempts": rows.AttemptRow, "instances": rows.InstanceRow, "apps": rows.AppRow,
    "app_versions": rows.AppVersionRow, "functions": rows.FunctionRow, "endpoints": rows.EndpointRow, "schedules": rows.ScheduleRow, "events": rows.EventRow,
    "secrets": rows.SecretRow, "volumes": rows.VolumeRow, "images": rows.ImageRow, "workspaces": rows.WorkspaceRow,
    "variants": rows.VariantRow, "scalings": rows.ScalingRow,
}  # fmt: skip


def test_the_sql_text_is_fresh() -> None:
    assert compile_sql.TARGET.read_text() == compile_sql.render(), "run `python -m freehold.server.store.compile`"


@pytest.mark.parametrize("table", ROWS)
def test_rows_have_their_tables_columns_in_order(table: str) -> None:
    assert ROWS[table]._fields == tuple(c.name for c in schema.metadata.tables[table].c)


def test_input_rows_have_their_tables_columns_but_the_checksums() -> None:
    assert (*rows.InputRow._fields, "args_crc", "result_crc") == tuple(c.name for c in schema.inputs.c)


def test_payload_columns_stand_last_so_that_listings_skip_their_pages() -> None:
    def heavy(column: "sa.Column[Any]") -> bool:
        return isinstance(column.type, sa.LargeBinary) or column.name.endswith("_crc")

    columns = list(schema.inputs.c)
    first = next(i for i, c in enumerate(columns) if heavy(c))
    assert all(heavy(c) for c in columns[first:])


@pytest.mark.parametrize("name", statements.writes())
def test_every_write_names_its_parameters(name: str) -> None:
    text, statement = sqlite_sql.WRITES[name], statements.writes()[name]
    count = len(statement.fields) + len(statement.checked)
    assert (text.row or text.head + text.tail).count("?") == count
    assert text.order is None or sorted(text.order) == list(range(count))
