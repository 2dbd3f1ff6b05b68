"""settlements: written down before the facilitator is asked, so that none is lost on the way."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

NEW = (
    ("sats", sa.BigInteger()),
    ("asset", sa.Text()),
    ("amount", sa.Text()),
    ("asked_until", sa.DateTime(timezone=True)),
    ("settled_at", sa.DateTime(timezone=True)),
    ("unknown_at", sa.DateTime(timezone=True)),
    ("voided_at", sa.DateTime(timezone=True)),
    ("said", sa.Text()),
)


def upgrade() -> None:
    for name, kind in NEW:
        op.add_column("settlements", sa.Column(name, kind, nullable=True))
    op.alter_column("settlements", "transaction", nullable=True)
    # Code that still serves writes only what is settled.
    op.alter_column("settlements", "settled_at", server_default=sa.text("now()"))
    op.execute("UPDATE settlements SET settled_at = created_at")
    op.create_index(
        "ix_settlements_open", "settlements", ["created_at"], postgresql_where=sa.text("transaction IS NULL")
    )
    op.create_index(
        "ix_settlements_settled_at", "settlements", ["settled_at"], postgresql_where=sa.text("settled_at IS NOT NULL")
    )


def downgrade() -> None:
    op.execute("DELETE FROM settlements WHERE transaction IS NULL")
    op.drop_index("ix_settlements_settled_at", "settlements")
    op.drop_index("ix_settlements_open", "settlements")
    for name, _ in reversed(NEW):
        op.drop_column("settlements", name)
    op.alter_column("settlements", "transaction", nullable=False)
