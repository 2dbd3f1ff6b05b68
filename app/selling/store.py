"""SQL of what was sold."""

from __future__ import annotations

from datetime import datetime

from app.agents.store import Session
from app.db.engine import HotPool

UNCLAIM = "UPDATE payments SET claimed_at = NULL, claimed_by = NULL WHERE payment_hash = $1 AND claimed_by = $2"
SESSION = """
SELECT id, project_id, kind, scope, resource, jkt, created_at, expires_at FROM agent_sessions
WHERE payment_hash = $1 AND kind = 'paid' AND ended_at IS NULL AND expires_at > $2
"""


async def unclaim(pool: HotPool, payment_hash: str, claimed_by: str) -> None:
    """Only by whom it was claimed."""
    await pool.execute(UNCLAIM, bytes.fromhex(payment_hash), claimed_by)


async def session_of(pool: HotPool, payment_hash: str, now: datetime) -> Session | None:
    """The session that this payment bought, while it lasts."""
    row = await pool.fetchrow(SESSION, bytes.fromhex(payment_hash), now)
    return None if row is None else Session(**{**dict(row), "scope": tuple(row["scope"])})
