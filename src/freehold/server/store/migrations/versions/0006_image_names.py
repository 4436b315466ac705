"""Names that images were published under."""

from typing import cast

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

REAL = cast("sa.types.TypeEngine[float]", sa.Double().with_variant(sa.REAL(), "sqlite"))


def upgrade() -> None:
    op.create_table(
        "image_names",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("created", REAL, nullable=False),
        sa.PrimaryKeyConstraint("workspace", "name", name="pk_image_names"),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
