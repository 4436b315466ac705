"""The pure parts of the SQLite store: what is written together, and what its errors become."""

import errno
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from freehold.core import errors
from freehold.server.store.contract import Write
from freehold.server.store.mark import Mark
from freehold.server.store.sqlite import _by_statement, _portions, _Unit
from freehold.server.store.sqlite_errors import of_the_store, translate
from freehold.server.store.sqlite_sql import WRITES


def _nobody(_: Exception | None) -> None: ...


def _unit(*ops: tuple[str, int]) -> _Unit:
    return _Unit([Write(name, [(row,)]) for name, row in ops], _nobody)


def test_rows_of_one_statement_go_together_and_a_table_keeps_its_order() -> None:
    units = [_unit(("put_calls", n), ("put_inputs", n)) for n in range(3)]
    units += [_unit(("prune_calls", 3)), _unit(("put_calls", 4), ("put_inputs", 4))]
    got = [(text, [row[0] for row in rows]) for text, rows in _by_statement(units)]
    assert got == [
        (WRITES["put_calls"], [0, 1, 2]),
        (WRITES["put_inputs"], [0, 1, 2, 4]),
        (WRITES["prune_calls"], [3]),
        (WRITES["put_calls"], [4]),
    ]


@pytest.mark.parametrize("count", [0, 1, 3, 4, 31, 33, 256, 700])
def test_portions_cover_every_row_once(count: int) -> None:
    rows: list[tuple[Any, ...]] = [(i,) for i in range(count)]
    assert [row for portion in _portions(rows) for row in portion] == rows


def _sqlite_error(
    code: int, message: str = "boom", kind: type[sqlite3.Error] = sqlite3.OperationalError
) -> sqlite3.Error:
    error = kind(message)
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "kind", "everyone"),
    [
        (_sqlite_error(13), errors.ResourceExhaustedError, True),
        (OSError(errno.ENOSPC, "no space"), errors.ResourceExhaustedError, True),
        (_sqlite_error(10 | 4 << 8), errors.DataLossError, True),
        (_sqlite_error(11), errors.DataLossError, True),
        (_sqlite_error(5), errors.ServiceError, True),
        (
            _sqlite_error(2067, "UNIQUE constraint failed: calls.key", sqlite3.IntegrityError),
            errors.AlreadyExistsError,
            False,
        ),
        (sqlite3.ProgrammingError("bindings"), errors.InternalError, False),
    ],
)
def test_errors(error: Exception, kind: type[errors.Error], everyone: bool) -> None:
    assert type(translate(error, Path("/home/freehold.db"))) is kind
    assert of_the_store(error) is everyone


def test_the_mark_refuses_a_database_behind_it(tmp_path: Path) -> None:
    mark = Mark(tmp_path / "mark")
    mark.check("abc", 7)
    mark.write(12)
    mark.close()
    assert Mark(tmp_path / "mark").read() == ("abc", 12)
    Mark(tmp_path / "mark").check("abc", 12)
    with pytest.raises(errors.DataLossError, match="lost its last 2 commits, of 12"):
        Mark(tmp_path / "mark").check("abc", 10)
    with pytest.raises(errors.DataLossError, match="another one"):
        Mark(tmp_path / "mark").check("def", 12)


@pytest.mark.parametrize("text", ["", "abc 12", "abc 12 00000000", "\0" * 64])
def test_a_torn_mark_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "mark").write_text(text)
    assert Mark(tmp_path / "mark").read() is None
    Mark(tmp_path / "mark").check("abc", 1)
