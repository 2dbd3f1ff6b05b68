"""admin: blocked clients, lifetimes of a client's tokens, and the indexes of long lists."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

LIFETIMES = ("access_lifetime", "refresh_idle", "refresh_absolute")
LISTED = {
    "users": ["created_at", "id"],
    "connections": ["created_at", "id"],
}


def upgrade() -> None:
    op.add_column("clients", sa.Column("blocked_at", sa.DateTime(timezone=True), nullable=True))
    for name in LIFETIMES:
        op.add_column("clients", sa.Column(name, sa.Integer(), nullable=True))
    for table, columns in LISTED.items():
        op.create_index(f"ix_{table}_{'_'.join(columns)}", table, columns)
    op.create_index("ix_users_email_prefix", "users", ["email"], postgresql_ops={"email": "text_pattern_ops"})
    op.create_index("ix_users_name_prefix", "users", [sa.text("lower(name) text_pattern_ops")])
    newest = ["created_at", "id"]
    op.create_index("ix_users_admins", "users", newest, postgresql_where=sa.text("is_admin"))
    op.create_index("ix_users_disabled", "users", newest, postgresql_where=sa.text("disabled_at IS NOT NULL"))
    newest = ["created_at", "client_id"]
    op.create_index("ix_clients_owner_id", "clients", ["owner_id"])
    op.create_index("ix_clients_blocked", "clients", newest, postgresql_where=sa.text("blocked_at IS NOT NULL"))
    op.create_index(
        "ix_clients_client_id_prefix", "clients", ["client_id"], postgresql_ops={"client_id": "text_pattern_ops"}
    )
    op.create_index("ix_clients_created_at_client_id", "clients", ["created_at", "client_id"])
    op.create_index("ix_clients_kind_created_at_client_id", "clients", ["kind", "created_at", "client_id"])
    op.create_index("ix_clients_name_prefix", "clients", [sa.text("lower(client_name) text_pattern_ops")])
    op.create_index("ix_connections_client_id_created_at_id", "connections", ["client_id", "created_at", "id"])
    op.drop_index("ix_connections_client_id", "connections")
    op.create_index(
        "ix_api_keys_created_at_id", "api_keys", ["created_at", "id"], postgresql_where=sa.text("revoked_at IS NULL")
    )
    op.create_index("ix_audit_events_client_id_id", "audit_events", ["client_id", "id"])
    op.create_index("ix_trace_steps_request_id", "trace_steps", ["request_id"])


def downgrade() -> None:
    op.drop_index("ix_trace_steps_request_id", "trace_steps")
    op.drop_index("ix_audit_events_client_id_id", "audit_events")
    op.drop_index("ix_api_keys_created_at_id", "api_keys")
    op.create_index("ix_connections_client_id", "connections", ["client_id"])
    op.drop_index("ix_connections_client_id_created_at_id", "connections")
    for name in ("blocked", "client_id_prefix", "created_at_client_id", "kind_created_at_client_id", "name_prefix", "owner_id"):
        op.drop_index(f"ix_clients_{name}", "clients")
    for name in ("admins", "disabled", "email_prefix", "name_prefix"):
        op.drop_index(f"ix_users_{name}", "users")
    for table, columns in LISTED.items():
        op.drop_index(f"ix_{table}_{'_'.join(columns)}", table)
    for name in (*LIFETIMES, "blocked_at"):
        op.drop_column("clients", name)
