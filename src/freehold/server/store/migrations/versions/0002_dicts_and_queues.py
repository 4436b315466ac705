"""Dicts and queues, as they were first: a copy that later changes of `schema.py` do not touch."""

from typing import cast

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    metadata.create_all(op.get_bind())


metadata = sa.MetaData()

Real = cast("sa.types.TypeEngine[float]", sa.Double().with_variant(sa.REAL(), "sqlite"))
Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _text(name: str, *, null: bool = False) -> "sa.Column[str]":
    return sa.Column(name, sa.Text(), nullable=null)


def _real(name: str, *, null: bool = True) -> "sa.Column[float]":
    return sa.Column(name, Real, nullable=null)


def _number(name: str) -> "sa.Column[int]":
    return sa.Column(name, Number, nullable=False)


def _bytes(name: str, *, null: bool = False) -> "sa.Column[bytes]":
    return sa.Column(name, sa.LargeBinary(), nullable=null)


def _table(
    name: str, key: tuple[str, ...], *columns: "sa.Column[str] | sa.Column[float] | sa.Column[int] | sa.Column[bytes]"
) -> sa.Table:
    primary = sa.PrimaryKeyConstraint(*key, name=f"pk_{name}")
    return sa.Table(name, metadata, *columns, primary, sqlite_with_rowid=False, sqlite_strict=True)


def _index(
    name: str, *columns: "sa.Column[object]", unique: bool = False, where: "sa.ColumnElement[bool] | None" = None
) -> sa.Index:
    return sa.Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


# ephemeral ones have no name and expire unless their client tells that it lives; deleted ones expire at 0
dicts = _table("dicts", ("id",), _text("id"), _text("workspace"), _text("name", null=True), _real("created", null=False), _real("expires"))  # fmt: skip
_index("ux_dicts_name", dicts.c.workspace, dicts.c.name, unique=True, where=dicts.c.name.is_not(None))
_index("ix_dicts_expires", dicts.c.expires, where=dicts.c.expires.is_not(None))

# a value lies in the row, or in a file of this name
dict_entries = _table(
    "dict_entries", ("dict_id", "key"), _text("dict_id"), _bytes("key"), _number("size"), _text("file", null=True), _bytes("value", null=True),
)  # fmt: skip
_index("ix_dict_entries_file", dict_entries.c.dict_id, dict_entries.c.file, where=dict_entries.c.file.is_not(None))

# `sequence` is the number of the last item that any of its partitions was given
queues = _table(
    "queues", ("id",), _text("id"), _text("workspace"), _text("name", null=True), _real("created", null=False), _real("expires"),
    _number("sequence"), _number("partitions"),
)  # fmt: skip
_index("ux_queues_name", queues.c.workspace, queues.c.name, unique=True, where=queues.c.name.is_not(None))
_index("ix_queues_expires", queues.c.expires, where=queues.c.expires.is_not(None))

# those that hold items; the one without a name is b""
queue_partitions = _table(
    "queue_partitions", ("queue_id", "partition"), _text("queue_id"), _bytes("partition"), _number("items"), _number("bytes"),
    _real("expires", null=False),
)  # fmt: skip
_index("ix_queue_partitions_expires", queue_partitions.c.expires)

queue_items = _table(
    "queue_items", ("queue_id", "partition", "sequence"), _text("queue_id"), _bytes("partition"), _number("sequence"), _bytes("value"),
)  # fmt: skip
