"""More than a password: passkeys, time-based codes, recovery codes, remembered devices, and how a session was signed in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def owner(table: str) -> tuple[sa.Column[str], sa.ForeignKeyConstraint]:
    key = sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=f"fk_{table}_user_id", ondelete="CASCADE")
    return sa.Column("user_id", sa.Text(), nullable=False), key


def upgrade() -> None:
    op.add_column("browser_sessions", sa.Column("method", sa.Text(), nullable=True))
    op.create_table(
        "remembered_devices",
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        *owner("remembered_devices"),
        sa.Column("id", sa.Text(), nullable=False),
        moment("created_at"),
        moment("last_used_at"),
        moment("expires_at"),
        moment("trusted_until", nullable=True),
        sa.Column("user_agent", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", "user_id", name="pk_remembered_devices"),
        sa.UniqueConstraint("id", name="uq_remembered_devices_id"),
    )
    op.create_index("ix_remembered_devices_user_id", "remembered_devices", ["user_id"])
    op.create_index("ix_remembered_devices_expires_at", "remembered_devices", ["expires_at"])
    op.create_table(
        "totp",
        *owner("totp"),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        moment("created_at"),
        sa.PrimaryKeyConstraint("user_id", name="pk_totp"),
    )
    op.create_table(
        "recovery_codes",
        *owner("recovery_codes"),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        moment("created_at"),
        moment("used_at", nullable=True),
        sa.PrimaryKeyConstraint("user_id", "fingerprint", name="pk_recovery_codes"),
    )
    op.create_table(
        "passkeys",
        sa.Column("credential_id", sa.LargeBinary(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        *owner("passkeys"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("transports", ARRAY(sa.Text()), nullable=False),
        sa.Column("backed_up", sa.Boolean(), nullable=False),
        moment("created_at"),
        moment("last_used_at", nullable=True),
        sa.PrimaryKeyConstraint("credential_id", name="pk_passkeys"),
        sa.UniqueConstraint("id", name="uq_passkeys_id"),
    )
    op.create_index("ix_passkeys_user_id", "passkeys", ["user_id"])


def downgrade() -> None:
    for table in ("passkeys", "recovery_codes", "totp", "remembered_devices"):
        op.drop_table(table)
    op.drop_column("browser_sessions", "method")
