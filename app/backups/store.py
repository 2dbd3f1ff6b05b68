"""SQL of backups: what a database is like before one is brought back into it, and what is no longer good afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import audit

RESTORED = "restored from a backup"
# Whatever could be used once, and may have been used after the backup was made; and whatever hangs from it. People and
# programs prove anew who they are, with what they know, have or hold.
VOIDED = {
    "codes": "DELETE FROM codes",
    "device_codes": "DELETE FROM device_codes",
    "one_time_links": "DELETE FROM one_time_links",
    "invitations": "DELETE FROM invitations",
    "recovery_codes": "UPDATE recovery_codes SET used_at = :now WHERE used_at IS NULL",
    "totp": "UPDATE totp SET last_step = greatest(last_step, :step)",
    "browser_sessions": "DELETE FROM browser_sessions",
    "remembered_devices": "DELETE FROM remembered_devices",
    "connections": f"UPDATE connections SET revoked_at = :now, revoked_because = '{RESTORED}' WHERE revoked_at IS NULL",
    "upstream_flows": "DELETE FROM upstream_flows",
    "agent_sessions": "UPDATE agent_sessions SET ended_at = :now WHERE ended_at IS NULL AND kind = 'pow'",
    "payments": f"UPDATE payments SET claimed_at = :now, claimed_by = '{RESTORED}' WHERE claimed_at IS NULL",
    "settlements": f"UPDATE settlements SET claimed_by = '{RESTORED}' WHERE claimed_by IS NULL OR transaction IS NULL",
    "signing_keys": "DELETE FROM signing_keys",  # and with them every access token; the next start makes new ones
    "used_once": "DELETE FROM used_once",  # what is older than the restore is refused by its own time (app/replay.py)
    "rate_counters": "DELETE FROM rate_counters",
    "trace_steps": "DELETE FROM trace_steps",
}
# As they were when the backup was made; what was changed, revoked or deleted since is so no longer (docs/operate.md).
KEPT = frozenset({"users", "passwords", "passkeys", "identities", "clients", "consents", "api_keys", "revocations"})
KEPT |= {"audit_events", "tool_calls", "restores", "notes", "providers", "upstream_accounts"}
KEPT |= {
    "agent_projects",
    "budgets",
    "charges",
    "charge_denials",
    "pretend_invoices",
}  # what was paid for stays with who paid
TOTP_SECONDS = 30
SKEW = timedelta(seconds=60)  # proofs of clients whose clocks are ahead look younger than they are


@dataclass(frozen=True, slots=True)
class Target:
    """Where a backup is to go. `others` are connected besides us; `major` is the server's version."""

    is_empty: bool
    others: int
    major: int


async def target(db: AsyncConnection) -> Target:
    others = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend'"
    )
    tables = text("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')")
    version = text("SELECT current_setting('server_version_num')::int / 10000")
    return Target(
        is_empty=(await db.execute(tables)).scalar_one() == 0,
        others=(await db.execute(others)).scalar_one(),
        major=(await db.execute(version)).scalar_one(),
    )


async def emptied(db: AsyncConnection) -> None:
    """Everything goes."""
    await db.execute(text("DROP SCHEMA public CASCADE"))
    await db.execute(text("CREATE SCHEMA public"))


async def void(db: AsyncConnection, now: datetime, backup_at: datetime | None) -> int:
    """Nothing that was good once is good any more. How many connections of apps were ended."""
    step = int(now.timestamp()) // TOTP_SECONDS + 1  # a phone may be one step ahead
    ended = 0
    for table, statement in VOIDED.items():
        if (await db.execute(text("SELECT to_regclass(:table)"), {"table": table})).scalar() is None:
            continue  # the backup is of an earlier release
        done = await db.execute(text(statement), {"now": now, "step": step} if ":" in statement else {})
        if table == "connections":
            ended = done.rowcount
    epoch = {"at": now + SKEW, "backup_at": backup_at}
    await db.execute(text("INSERT INTO restores (at, backup_at) VALUES (:at, :backup_at)"), epoch)
    made_at = backup_at.isoformat(timespec="seconds") if backup_at else None
    await audit.record(db, "database.restored", now, backup=made_at, connections=ended)
    return ended


async def lay_down_revision(db: AsyncConnection, revision: str) -> None:
    """Until this is written no Gatehouse starts on this database."""
    await db.execute(text("INSERT INTO alembic_version (version_num) VALUES (:revision)"), {"revision": revision})
