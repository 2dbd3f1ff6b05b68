"""restores: when the database was brought back from a backup, before which nothing that is good once is good."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "restores",
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("backup_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("at", name="pk_restores"),
    )


def downgrade() -> None:
    op.drop_table("restores")
