"""one_time_links: which admin made a link for somebody else, so that it ends with that admin's rights."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("one_time_links", sa.Column("made_by", sa.Text(), nullable=True))
    op.create_foreign_key(
        "fk_one_time_links_made_by", "one_time_links", "users", ["made_by"], ["id"], ondelete="CASCADE"
    )
    op.create_index("ix_one_time_links_made_by", "one_time_links", ["made_by"])


def downgrade() -> None:
    op.drop_index("ix_one_time_links_made_by", "one_time_links")
    op.drop_constraint("fk_one_time_links_made_by", "one_time_links", type_="foreignkey")
    op.drop_column("one_time_links", "made_by")
