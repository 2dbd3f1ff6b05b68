"""DPoP: the key that a code, and that a public client's refresh tokens, are bound to (RFC 9449)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("codes", sa.Column("dpop_jkt", sa.Text(), nullable=True))
    op.add_column("connections", sa.Column("dpop_jkt", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("connections", "dpop_jkt")
    op.drop_column("codes", "dpop_jkt")
