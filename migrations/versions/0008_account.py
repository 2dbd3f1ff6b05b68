"""account: calls of tools by day; lists of one user in the order that pages show them; replaced API keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

LISTED = ("browser_sessions", "connections", "api_keys", "notes")


def upgrade() -> None:
    op.create_table('tool_calls',
    sa.Column('user_id', sa.Text(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('client_id', sa.Text(), nullable=False),
    sa.Column('tool', sa.Text(), nullable=False),
    sa.Column('calls', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_tool_calls_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', 'day', 'client_id', 'tool', name=op.f('pk_tool_calls')),
    postgresql_with={'fillfactor': '80'}
    )
    op.create_index(op.f('ix_tool_calls_day'), 'tool_calls', ['day'], unique=False)
    for table in LISTED:
        op.create_index(f'ix_{table}_user_id_created_at_id', table, ['user_id', 'created_at', 'id'], unique=False)
        op.drop_index(f'ix_{table}_user_id', table_name=table)
    consent = ['user_id', 'given_at', 'client_id', 'redirect_host', 'resource']
    op.create_index('ix_consents_user_id_given_at', 'consents', consent, unique=False)
    op.create_index('ix_audit_events_user_id_id', 'audit_events', ['user_id', 'id'], unique=False)
    op.add_column('api_keys', sa.Column('rotated_at', sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column('api_keys', 'rotated_at')
    op.drop_index('ix_audit_events_user_id_id', table_name='audit_events')
    op.drop_index('ix_consents_user_id_given_at', table_name='consents')
    for table in LISTED:
        op.create_index(f'ix_{table}_user_id', table, ['user_id'], unique=False)
        op.drop_index(f'ix_{table}_user_id_created_at_id', table_name=table)
    op.drop_index(op.f('ix_tool_calls_day'), table_name='tool_calls')
    op.drop_table('tool_calls')
