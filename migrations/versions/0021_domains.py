"""users and invitations: the domain of an e-mail address as DNS has it, as `app/protocol/email.py` now writes it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Whoever has another account at the same mailbox keeps the old spelling, for the operator to look at."""
    db = op.get_bind()
    for table in ("users", "invitations"):
        for identifier, email in db.execute(sa.text(f"SELECT id, email FROM {table} WHERE email ~ '[^[:ascii:]]'")).all():
            local, _, domain = email.rpartition("@")
            try:
                plain = f"{local}@{domain.encode('idna').decode().lower()}"
            except UnicodeError:
                continue
            changed = f"UPDATE {table} SET email = :email WHERE id = :id AND NOT EXISTS (SELECT FROM {table} WHERE email = :email)"
            db.execute(sa.text(changed), {"id": identifier, "email": plain})


def downgrade() -> None:
    """Both spellings are known to the version before."""
