"""OpenID Connect: keys of a second algorithm, and what an id_token says of the sign-in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('signing_keys', sa.Column('algorithm', sa.Text(), nullable=False, server_default='ES256'))
    op.alter_column('signing_keys', 'algorithm', server_default=None)
    op.add_column('codes', sa.Column('nonce', sa.Text(), nullable=True))
    op.add_column('codes', sa.Column('authenticated_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('connections', sa.Column('authenticated_at', sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column('connections', 'authenticated_at')
    op.drop_column('codes', 'authenticated_at')
    op.drop_column('codes', 'nonce')
    op.execute("DELETE FROM signing_keys WHERE algorithm <> 'ES256'")
    op.drop_column('signing_keys', 'algorithm')
