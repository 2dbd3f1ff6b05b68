"""consents: found by their client, so that deleting a client does not read all of them. api_keys, browser_sessions: room in each
block for the time of the last use, which otherwise goes elsewhere and into every index."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

ROOMY = ("api_keys", "browser_sessions")


def upgrade() -> None:
    op.create_index("ix_consents_client_id", "consents", ["client_id"])
    for table in ROOMY:
        op.execute(f"ALTER TABLE {table} SET (fillfactor = 80)")


def downgrade() -> None:
    for table in ROOMY:
        op.execute(f"ALTER TABLE {table} RESET (fillfactor)")
    op.drop_index("ix_consents_client_id", "consents")
