"""When functions with a schedule are called next."""

from typing import cast

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


REAL = cast("sa.types.TypeEngine[float]", sa.Double().with_variant(sa.REAL(), "sqlite"))


def upgrade() -> None:
    op.create_table(
        "schedules",
        sa.Column("function_id", sa.Text(), nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("base", REAL, nullable=False),
        sa.Column("due", REAL, nullable=False),
        sa.PrimaryKeyConstraint("function_id", name="pk_schedules"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.create_index("ix_schedules_app", "schedules", ["app_id"])
