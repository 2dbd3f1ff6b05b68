"""Introspection, client management, pushed requests, device codes (RFC 7662, 7592, 9126, 8628)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('clients', sa.Column('management_fingerprint', sa.LargeBinary(), nullable=True))
    op.add_column('clients', sa.Column('introspects', sa.Boolean(), server_default=sa.text('false'), nullable=False))
    op.add_column('codes', sa.Column('pushed_id', sa.Text(), nullable=True))
    op.create_index('uq_codes_pushed_id', 'codes', ['pushed_id'], unique=True, postgresql_where=sa.text('pushed_id IS NOT NULL'))
    op.create_table('device_codes',
    sa.Column('fingerprint', sa.LargeBinary(), nullable=False),
    sa.Column('user_code', sa.Text(), nullable=False),
    sa.Column('client_id', sa.Text(), nullable=False),
    sa.Column('scope', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.Column('resource', sa.Text(), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('poll_interval', sa.Integer(), nullable=False),
    sa.Column('polled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('allowed', sa.Boolean(), nullable=True),
    sa.Column('user_id', sa.Text(), nullable=True),
    sa.Column('authenticated_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('consumed_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('fingerprint', name=op.f('pk_device_codes')),
    sa.UniqueConstraint('user_code', name=op.f('uq_device_codes_user_code'))
    )
    op.create_index('ix_device_codes_expires_at', 'device_codes', ['expires_at'], unique=False)


def downgrade() -> None:
    op.drop_index('ix_device_codes_expires_at', table_name='device_codes')
    op.drop_table('device_codes')
    op.drop_index('uq_codes_pushed_id', table_name='codes', postgresql_where=sa.text('pushed_id IS NOT NULL'))
    op.drop_column('codes', 'pushed_id')
    op.drop_column('clients', 'introspects')
    op.drop_column('clients', 'management_fingerprint')
