"""Sandboxes: one row each, kept after its end."""

from typing import cast

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_Real = cast("sa.types.TypeEngine[float]", sa.Double().with_variant(sa.REAL(), "sqlite"))
_Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    metadata.create_all(op.get_bind())


metadata = sa.MetaData()
sandboxes = sa.Table(
    "sandboxes",
    metadata,
    sa.Column("id", sa.Text(), nullable=False),
    sa.Column("workspace", sa.Text(), nullable=False),
    sa.Column("app_id", sa.Text(), nullable=False),
    sa.Column("app", sa.Text(), nullable=False),
    sa.Column("name", sa.Text(), nullable=True),
    sa.Column("state", sa.Text(), nullable=False),
    sa.Column("created", _Real, nullable=False),
    sa.Column("ended", _Real, nullable=True),
    sa.Column("returncode", _Number, nullable=True),
    sa.Column("reason", sa.Text(), nullable=True),
    sa.Column("image", sa.Text(), nullable=False),
    sa.Column("timeout_s", _Real, nullable=False),
    sa.Column("tags", sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint("id", name="pk_sandboxes"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)
sa.Index("ix_sandboxes_app", sandboxes.c.workspace, sandboxes.c.app, sandboxes.c.id)
sa.Index(
    "ix_sandboxes_live",
    sandboxes.c.id,
    sqlite_where=sandboxes.c.ended.is_(None),
    postgresql_where=sandboxes.c.ended.is_(None),
)
