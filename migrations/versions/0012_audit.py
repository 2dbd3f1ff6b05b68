"""The audit log: who did it and by which request; and it only grows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# Three deeds of ours say beforehand, for their transaction, why they may: the retention (`audit_days`), the deletion of a
# person, and the tests that begin with nothing. It keeps mistakes out, not somebody who may run any SQL as this role.
STAYS = """
CREATE FUNCTION audit_events_stay() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  why text := coalesce(current_setting('gatehouse.audit', true), '');
BEGIN
  IF TG_OP = 'DELETE' AND why IN ('retention', 'tests') THEN
    RETURN OLD;
  ELSIF TG_OP = 'UPDATE' AND why = 'person' THEN
    IF (NEW.id, NEW.at, NEW.event, NEW.actor) IS NOT DISTINCT FROM (OLD.id, OLD.at, OLD.event, OLD.actor)
      AND (NEW.client_id, NEW.request_id) IS NOT DISTINCT FROM (OLD.client_id, OLD.request_id)
      AND coalesce(NEW.user_id = OLD.user_id, NEW.user_id IS NULL)
      AND coalesce(NEW.actor_id = OLD.actor_id, NEW.actor_id IS NULL)
      AND coalesce(NEW.address = OLD.address, NEW.address IS NULL)
      AND NEW.detail <@ OLD.detail
    THEN
      RETURN NEW;
    END IF;
  END IF;
  RAISE EXCEPTION 'the audit log only grows: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$
"""


def upgrade() -> None:
    op.add_column("audit_events", sa.Column("actor", sa.Text(), nullable=True))
    op.add_column("audit_events", sa.Column("actor_id", sa.Text(), nullable=True))
    op.add_column("audit_events", sa.Column("request_id", sa.Text(), nullable=True))
    op.create_index("ix_audit_events_at", "audit_events", ["at"], postgresql_using="brin")
    op.create_index(
        "ix_audit_events_event_id",
        "audit_events",
        ["event", "id"],
        postgresql_where=sa.text("event <> 'token.issued'"),
    )
    op.create_index(
        "ix_audit_events_by_user", "audit_events", ["actor_id", "id"], postgresql_where=sa.text("actor = 'user'")
    )
    op.execute(STAYS)
    op.execute(
        "CREATE TRIGGER audit_events_stay BEFORE UPDATE OR DELETE ON audit_events "
        "FOR EACH ROW EXECUTE FUNCTION audit_events_stay()"
    )
    op.execute(
        "CREATE TRIGGER audit_events_stay_whole BEFORE TRUNCATE ON audit_events "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_events_stay()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER audit_events_stay_whole ON audit_events")
    op.execute("DROP TRIGGER audit_events_stay ON audit_events")
    op.execute("DROP FUNCTION audit_events_stay()")
    op.drop_index("ix_audit_events_by_user", "audit_events")
    op.drop_index("ix_audit_events_event_id", "audit_events")
    op.drop_index("ix_audit_events_at", "audit_events")
    op.drop_column("audit_events", "request_id")
    op.drop_column("audit_events", "actor_id")
    op.drop_column("audit_events", "actor")
