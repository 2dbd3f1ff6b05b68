"""agent pages: projects that are paused, what was given back, what was denied."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("agent_projects", sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("charges", sa.Column("returned_sats", sa.BigInteger(), server_default="0", nullable=False))
    op.create_index(
        "ix_payments_settled_at", "payments", ["settled_at"], postgresql_where=sa.text("settled_at IS NOT NULL")
    )
    op.create_table(
        "charge_denials",
        sa.Column("budget_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("budget_id", "day", "tool", "reason", name=op.f("pk_charge_denials")),
    )
    op.create_index(op.f("ix_charge_denials_day"), "charge_denials", ["day"])


def downgrade() -> None:
    op.drop_table("charge_denials")
    op.drop_index("ix_payments_settled_at", "payments")
    op.drop_column("charges", "returned_sats")
    op.drop_column("agent_projects", "paused_at")
