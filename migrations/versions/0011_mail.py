"""Addresses that are verified, links that go by mail, invitations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("email_verified_at", sa.DateTime(timezone=True), nullable=True))
    op.drop_constraint(op.f("ck_one_time_links_purpose"), "one_time_links", type_="check")
    op.create_check_constraint(
        op.f("ck_one_time_links_purpose"),
        "one_time_links",
        "purpose in ('setup', 'password', 'login', 'sign_up', 'email')",
    )
    op.add_column("one_time_links", sa.Column("email", sa.Text(), nullable=True))
    op.add_column("one_time_links", sa.Column("req", sa.Text(), nullable=True))
    op.add_column("one_time_links", sa.Column("browser_fingerprint", sa.LargeBinary(), nullable=True))
    op.create_index(op.f("ix_one_time_links_user_id"), "one_time_links", ["user_id"])
    op.create_index("ix_one_time_links_expires_at", "one_time_links", ["expires_at"])
    op.create_table(
        "invitations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("mailed", sa.Boolean(), nullable=False),
        sa.Column("invited_by", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_invitations_fingerprint")),
        sa.UniqueConstraint("email", name=op.f("uq_invitations_email")),
        sa.ForeignKeyConstraint(
            ["invited_by"], ["users.id"], name=op.f("fk_invitations_invited_by"), ondelete="SET NULL"
        ),
    )
    op.create_index(op.f("ix_invitations_invited_by"), "invitations", ["invited_by"])
    op.create_index("ix_invitations_created_at_id", "invitations", ["created_at", "id"])


def downgrade() -> None:
    op.drop_table("invitations")
    op.drop_index("ix_one_time_links_expires_at", "one_time_links")
    op.drop_index(op.f("ix_one_time_links_user_id"), "one_time_links")
    op.execute("DELETE FROM one_time_links WHERE purpose NOT IN ('setup', 'password')")
    for column in ("browser_fingerprint", "req", "email"):
        op.drop_column("one_time_links", column)
    op.drop_constraint(op.f("ck_one_time_links_purpose"), "one_time_links", type_="check")
    op.create_check_constraint(
        op.f("ck_one_time_links_purpose"), "one_time_links", "purpose in ('setup', 'password')"
    )
    op.drop_column("users", "email_verified_at")
