"""Overrides of functions, what was changed of autoscalers, and which input of its parent made a call."""

from typing import cast

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("variant", sa.Text(), nullable=True))
    op.add_column("calls", sa.Column("parent_index", sa.Integer(), nullable=True))
    metadata.create_all(op.get_bind())


metadata = sa.MetaData()
Real = cast("sa.types.TypeEngine[float]", sa.REAL())

sa.Table(
    "variants",
    metadata,
    sa.Column("workspace", sa.Text(), nullable=False),
    sa.Column("id", sa.Text(), nullable=False),
    sa.Column("created", Real, nullable=False),
    sa.Column("spec", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("workspace", "id", name="pk_variants"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)

sa.Table(
    "scalings",
    metadata,
    sa.Column("function_id", sa.Text(), nullable=False),
    sa.Column("parameters", sa.LargeBinary(), nullable=False),
    sa.Column("variant", sa.Text(), nullable=False),
    sa.Column("created", Real, nullable=False),
    sa.Column("spec", sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint("function_id", "parameters", "variant", name="pk_scalings"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)
