"""Clients whose client_id is the URL of a document, owners for client_credentials, and what may be used once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("clients", sa.Column("changed_at", sa.DateTime(timezone=True)))
    op.add_column("clients", sa.Column("fresh_until", sa.DateTime(timezone=True)))
    op.add_column("clients", sa.Column("owner_id", sa.Text()))
    op.create_foreign_key(
        op.f("fk_clients_owner_id"), "clients", "users", ["owner_id"], ["id"], ondelete="CASCADE"
    )
    # Autogeneration does not see check constraints, so the first migration went without these two.
    op.create_check_constraint(op.f("ck_clients_kind"), "clients", "kind in ('dynamic', 'static', 'document')")
    op.create_check_constraint(op.f("ck_one_time_links_purpose"), "one_time_links", "purpose in ('setup', 'password')")
    op.drop_index("ix_clients_never_used", "clients")
    op.create_index(
        "ix_clients_never_used",
        "clients",
        ["created_at"],
        postgresql_where=sa.text("last_used_at IS NULL AND kind <> 'static'"),
    )
    op.create_table(
        "used_once",
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name=op.f("pk_used_once")),
    )
    op.create_index(op.f("ix_used_once_expires_at"), "used_once", ["expires_at"])


def downgrade() -> None:
    op.drop_table("used_once")
    op.execute("DELETE FROM clients WHERE kind = 'document'")
    op.drop_index("ix_clients_never_used", "clients")
    op.create_index(
        "ix_clients_never_used",
        "clients",
        ["created_at"],
        postgresql_where=sa.text("last_used_at IS NULL AND kind = 'dynamic'"),
    )
    op.drop_constraint(op.f("ck_clients_kind"), "clients", type_="check")
    op.drop_constraint(op.f("ck_one_time_links_purpose"), "one_time_links", type_="check")
    for column in ("owner_id", "fresh_until", "changed_at"):
        op.drop_column("clients", column)
