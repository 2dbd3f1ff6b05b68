"""agents: projects, sessions, payments, budgets and the ledger of charges."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('agent_projects',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('public_key', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('scope', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.Column('allowance_sats', sa.BigInteger(), nullable=False),
    sa.Column('session_sats', sa.BigInteger(), nullable=False),
    sa.Column('max_calls_per_minute', sa.Integer(), nullable=False),
    sa.Column('bits_floor', sa.Integer(), nullable=False),
    sa.Column('bits_ceiling', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_agent_projects')),
    sa.UniqueConstraint('name', name=op.f('uq_agent_projects_name')),
    sa.UniqueConstraint('public_key', name=op.f('uq_agent_projects_public_key'))
    )
    op.create_table('charges',
    sa.Column('budget_id', sa.Text(), nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('request_hash', sa.LargeBinary(), nullable=False),
    sa.Column('sats', sa.BigInteger(), nullable=False),
    sa.Column('free_sats', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('tool', sa.Text(), nullable=True),
    sa.Column('calls_used', sa.BigInteger(), nullable=False),
    sa.Column('sats_used', sa.BigInteger(), nullable=False),
    sa.Column('remaining_sats', sa.BigInteger(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('reserved_until', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("sats >= 0", name=op.f("ck_charges_sats")),
    sa.CheckConstraint("state in ('charged', 'reserved', 'released')", name=op.f("ck_charges_state")),
    sa.PrimaryKeyConstraint('budget_id', 'id', name=op.f('pk_charges'))
    )
    op.create_index('ix_charges_at', 'charges', ['at'], unique=False, postgresql_using='brin')
    op.create_index('ix_charges_reserved', 'charges', ['reserved_until'], unique=False, postgresql_where=sa.text("state = 'reserved'"))
    op.create_index('uq_charges_budget_id_key', 'charges', ['budget_id', 'key'], unique=True, postgresql_where=sa.text("state <> 'released'"))
    op.create_table('payments',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('payment_hash', sa.LargeBinary(), nullable=False),
    sa.Column('bolt11', sa.Text(), nullable=False),
    sa.Column('sats', sa.BigInteger(), nullable=False),
    sa.Column('purpose', sa.Text(), nullable=False),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('commitment', sa.Text(), nullable=True),
    sa.Column('detail', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('asked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('settled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('claimed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('claimed_by', sa.Text(), nullable=True),
    sa.CheckConstraint("sats > 0", name=op.f("ck_payments_sats")),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_payments')),
    sa.UniqueConstraint('payment_hash', name=op.f('uq_payments_payment_hash'))
    )
    op.create_index('ix_payments_created_at_id', 'payments', ['created_at', 'id'], unique=False)
    op.create_index('ix_payments_open', 'payments', ['asked_at'], unique=False, postgresql_where=sa.text('settled_at IS NULL AND closed_at IS NULL'))
    op.create_table('settlements',
    sa.Column('fingerprint', sa.LargeBinary(), nullable=False),
    sa.Column('network', sa.Text(), nullable=False),
    sa.Column('transaction', sa.Text(), nullable=False),
    sa.Column('payer', sa.Text(), nullable=True),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('claimed_by', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('fingerprint', name=op.f('pk_settlements')),
    sa.UniqueConstraint('network', 'transaction', name=op.f('uq_settlements_network_transaction'))
    )
    op.create_index(op.f('ix_settlements_created_at'), 'settlements', ['created_at'], unique=False)
    op.create_table('pretend_invoices',
    sa.Column('payment_hash', sa.LargeBinary(), nullable=False),
    sa.Column('preimage', sa.LargeBinary(), nullable=False),
    sa.Column('sats', sa.BigInteger(), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('paid_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('payment_hash', name=op.f('pk_pretend_invoices'))
    )
    op.create_table('agent_sessions',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('project_id', sa.Text(), nullable=True),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('scope', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.Column('resource', sa.Text(), nullable=False),
    sa.Column('refresh_counter', sa.Integer(), nullable=False),
    sa.Column('refreshed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('jkt', sa.Text(), nullable=True),
    sa.Column('payment_hash', sa.LargeBinary(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['project_id'], ['agent_projects.id'], name=op.f('fk_agent_sessions_project_id'), ondelete='CASCADE'),
    sa.CheckConstraint("kind in ('pow', 'lightning', 'paid')", name=op.f("ck_agent_sessions_kind")),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_agent_sessions'))
    )
    op.create_index(op.f('ix_agent_sessions_expires_at'), 'agent_sessions', ['expires_at'], unique=False)
    op.create_index('ix_agent_sessions_project_id_created_at_id', 'agent_sessions', ['project_id', 'created_at', 'id'], unique=False)
    op.create_table('budgets',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('user_id', sa.Text(), nullable=True),
    sa.Column('allowance_sats', sa.BigInteger(), nullable=False),
    sa.Column('funded_sats', sa.BigInteger(), nullable=False),
    sa.Column('max_calls_per_minute', sa.Integer(), nullable=True),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('day_free_sats', sa.BigInteger(), nullable=False),
    sa.Column('day_sats', sa.BigInteger(), nullable=False),
    sa.Column('day_calls', sa.BigInteger(), nullable=False),
    sa.Column('last_free_sats', sa.BigInteger(), nullable=False),
    sa.Column('minute', sa.DateTime(timezone=True), nullable=False),
    sa.Column('minute_calls', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_budgets_user_id'), ondelete='CASCADE'),
    sa.CheckConstraint("kind in ('agent', 'api_key', 'connection')", name=op.f("ck_budgets_kind")),
    sa.CheckConstraint("funded_sats >= 0", name=op.f("ck_budgets_funded_sats")),
    sa.CheckConstraint("day_free_sats >= 0", name=op.f("ck_budgets_day_free_sats")),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_budgets')),
    postgresql_with={'fillfactor': '50'}
    )
    op.create_index(op.f('ix_budgets_expires_at'), 'budgets', ['expires_at'], unique=False)
    op.create_index(op.f('ix_budgets_user_id'), 'budgets', ['user_id'], unique=False)


def downgrade() -> None:
    op.drop_index(op.f('ix_budgets_user_id'), table_name='budgets')
    op.drop_index(op.f('ix_budgets_expires_at'), table_name='budgets')
    op.drop_table('budgets')
    op.drop_index('ix_agent_sessions_project_id_created_at_id', table_name='agent_sessions')
    op.drop_index(op.f('ix_agent_sessions_expires_at'), table_name='agent_sessions')
    op.drop_table('agent_sessions')
    op.drop_table('pretend_invoices')
    op.drop_index(op.f('ix_settlements_created_at'), table_name='settlements')
    op.drop_table('settlements')
    op.drop_index('ix_payments_open', table_name='payments', postgresql_where=sa.text('settled_at IS NULL AND closed_at IS NULL'))
    op.drop_index('ix_payments_created_at_id', table_name='payments')
    op.drop_table('payments')
    op.drop_index('uq_charges_budget_id_key', table_name='charges', postgresql_where=sa.text("state <> 'released'"))
    op.drop_index('ix_charges_reserved', table_name='charges', postgresql_where=sa.text("state = 'reserved'"))
    op.drop_index('ix_charges_at', table_name='charges', postgresql_using='brin')
    op.drop_table('charges')
    op.drop_table('agent_projects')
