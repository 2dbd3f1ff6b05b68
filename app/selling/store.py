"""SQL of what was sold."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import audit
from app.agents.store import Session
from app.db.engine import HotPool

if TYPE_CHECKING:
    from app.selling.facilitator import Settled

UNCLAIM = "UPDATE payments SET claimed_at = NULL, claimed_by = NULL WHERE payment_hash = $1 AND claimed_by = $2"
SESSION = """
SELECT id, project_id, kind, scope, resource, jkt, created_at, expires_at FROM agent_sessions
WHERE payment_hash = $1 AND kind = 'paid' AND ended_at IS NULL AND expires_at > $2
"""
SETTLEMENT = "SELECT * FROM settlements WHERE fingerprint = $1"
ADD_SETTLEMENT = """
INSERT INTO settlements (fingerprint, network, transaction, payer, subject, created_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING RETURNING true
"""
CLAIM_SETTLEMENT = (
    "UPDATE settlements SET claimed_by = :by WHERE fingerprint = :print AND claimed_by IS NULL RETURNING subject"
)
UNCLAIM_SETTLEMENT = "UPDATE settlements SET claimed_by = NULL WHERE fingerprint = $1 AND claimed_by = $2"


async def unclaim(pool: HotPool, payment_hash: str, claimed_by: str) -> None:
    """Only by whom it was claimed."""
    await pool.execute(UNCLAIM, bytes.fromhex(payment_hash), claimed_by)


async def session_of(pool: HotPool, payment_hash: str, now: datetime) -> Session | None:
    """The session that this payment bought, while it lasts."""
    row = await pool.fetchrow(SESSION, bytes.fromhex(payment_hash), now)
    return None if row is None else Session(**{**dict(row), "scope": tuple(row["scope"])})


async def settlement(pool: HotPool, fingerprint: bytes) -> Any:
    return await pool.fetchrow(SETTLEMENT, fingerprint)


async def add_settlement(pool: HotPool, settled: Settled, subject: str, now: datetime) -> bool:
    """False when its transaction is known, also from another payment."""
    values = (settled.fingerprint, settled.network, settled.transaction, settled.payer, subject, now)
    return await pool.fetchval(ADD_SETTLEMENT, *values) is not None


async def claim_settlement(db: AsyncConnection, settled: Settled, by: str, now: datetime) -> bool:
    row = (await db.execute(text(CLAIM_SETTLEMENT), {"print": settled.fingerprint, "by": by})).first()
    if row is None:
        return False
    on_chain = {"network": settled.network, "transaction": settled.transaction}
    await audit.record(db, "payment.claimed", now, purpose=row.subject, bought=by, **on_chain)
    return True


async def unclaim_settlement(pool: HotPool, fingerprint: bytes, by: str) -> None:
    """Only by whom it was claimed."""
    await pool.execute(UNCLAIM_SETTLEMENT, fingerprint, by)
