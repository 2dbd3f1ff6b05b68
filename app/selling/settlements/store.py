"""SQL of settlements: begun, asked for by one at a time, completed once, claimed once, decided by the operator where nobody knows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import audit
from app.db.engine import HotPool
from app.selling.settlements.model import Intent, Settled, Settlement
from app.web.paging import PAGE, Place

UNSETTLED = "not settled"  # in `claimed_by`, so that code of before 0019, too, gives nothing for it
ONE = "SELECT * FROM settlements WHERE fingerprint = $1"
BEGIN = f"""
INSERT INTO settlements (fingerprint, network, asset, amount, payer, subject, sats, claimed_by, created_at, settled_at,
  asked_until)
VALUES ($1, $2, $3, $4, $5, $6, $7, '{UNSETTLED}', $8, NULL, $9) ON CONFLICT DO NOTHING RETURNING true
"""
OPEN = f"transaction IS NULL AND voided_at IS NULL AND claimed_by = '{UNSETTLED}'"
# One of all who show it may ask, until then; whoever asked before and died asks no more.
LEASE = f"""
UPDATE settlements SET asked_until = $3
WHERE fingerprint = $1 AND {OPEN} AND (asked_until IS NULL OR asked_until <= $2) RETURNING true
"""
COMPLETE = f"""
UPDATE settlements SET transaction = $2, payer = coalesce($3, payer), settled_at = $4, claimed_by = NULL, asked_until = NULL
WHERE fingerprint = $1 AND {OPEN} RETURNING true
"""
FORGET = f"DELETE FROM settlements WHERE fingerprint = $1 AND {OPEN}"
RELEASE = f"UPDATE settlements SET asked_until = NULL, said = coalesce($2, said) WHERE fingerprint = $1 AND {OPEN}"
REFUSED_AGAIN = f"""
UPDATE settlements s SET asked_until = NULL, said = :said, unknown_at = coalesce(s.unknown_at, :now)
FROM (SELECT fingerprint, unknown_at FROM settlements WHERE fingerprint = :print AND {OPEN} FOR UPDATE) before
WHERE s.fingerprint = before.fingerprint RETURNING s.*, before.unknown_at IS NULL AS is_news
"""
CLAIM = (
    "UPDATE settlements SET claimed_by = :by WHERE fingerprint = :print AND claimed_by IS NULL RETURNING subject, sats"
)
UNCLAIM = "UPDATE settlements SET claimed_by = NULL WHERE fingerprint = $1 AND claimed_by = $2"

# What was restored from a backup before its outcome was known is decided without anything being given for it.
STATES = {
    "under_way": "transaction IS NULL AND voided_at IS NULL AND asked_until > :now",
    "unknown": "transaction IS NULL AND voided_at IS NULL AND coalesce(asked_until <= :now, true)",
    "settled": "transaction IS NOT NULL AND claimed_by IS NULL",
    "given": "transaction IS NOT NULL AND claimed_by IS NOT NULL",
    "void": "transaction IS NULL AND voided_at IS NOT NULL",
}
IS_SETTLED = f"""
UPDATE settlements SET transaction = :transaction, settled_at = :now, claimed_by = nullif(claimed_by, '{UNSETTLED}')
WHERE fingerprint = :print AND {STATES["unknown"]} AND NOT EXISTS
  (SELECT FROM settlements other WHERE other.network = settlements.network AND other.transaction = :transaction) RETURNING *
"""
IS_VOID = f"""
UPDATE settlements SET voided_at = :now, claimed_by = 'void' WHERE fingerprint = :print AND {STATES["unknown"]} RETURNING *
"""
SAID = f"""
SELECT encode(fingerprint, 'hex') AS id, CASE {" ".join(f"WHEN {rule} THEN '{word}'" for word, rule in STATES.items())} END
  AS state, created_at AS started_at, settled_at, subject, sats, network, asset, amount, payer, transaction,
  CASE WHEN voided_at IS NULL AND claimed_by <> '{UNSETTLED}' THEN claimed_by END AS bought, said
FROM settlements
"""
NEWEST = "ORDER BY created_at DESC, fingerprint DESC"


async def one(pool: HotPool, fingerprint: bytes) -> Any:
    return await pool.fetchrow(ONE, fingerprint)


async def begin(pool: HotPool, intent: Intent, now: datetime, until: datetime) -> bool:
    """Whoever wrote it down may ask until then; False for whoever comes second."""
    what = (intent.network, intent.asset, intent.amount, intent.payer, intent.subject, intent.sats)
    return await pool.fetchval(BEGIN, intent.fingerprint, *what, now, until) is not None


async def lease(pool: HotPool, fingerprint: bytes, now: datetime, until: datetime) -> bool:
    """Whether it may be asked for once more, by this caller alone until then."""
    return await pool.fetchval(LEASE, fingerprint, now, until) is not None


async def complete(pool: HotPool, settled: Settled, now: datetime) -> bool:
    """False when it was decided meanwhile, or its transaction is that of another payment."""
    try:
        values = (settled.fingerprint, settled.transaction, settled.payer, now)
        return await pool.fetchval(COMPLETE, *values) is not None
    except asyncpg.UniqueViolationError:
        return False


async def forget(pool: HotPool, fingerprint: bytes) -> None:
    """What was never asked for, or refused at the first asking."""
    await pool.execute(FORGET, fingerprint)


async def release(pool: HotPool, fingerprint: bytes, said: str | None) -> None:
    """It may be asked for again at once."""
    await pool.execute(RELEASE, fingerprint, said)


async def refused_again(db: AsyncConnection, fingerprint: bytes, said: str, now: datetime) -> None:
    """Nobody knows: it may have been settled when it was asked for first. Told to the audit log once."""
    row = (await db.execute(text(REFUSED_AGAIN), {"print": fingerprint, "said": said, "now": now})).first()
    if row is not None and row.is_news:
        what = {"settlement": fingerprint.hex(), "network": row.network, "amount": row.amount, "sats": row.sats}
        await audit.record(db, "settlement.unknown", now, **what, payer=row.payer, purpose=row.subject, said=said)


async def claim(db: AsyncConnection, settled: Settled, by: str, now: datetime) -> bool:
    row = (await db.execute(text(CLAIM), {"print": settled.fingerprint, "by": by})).first()
    if row is None:
        return False
    on_chain = {"network": settled.network, "transaction": settled.transaction}
    await audit.record(db, "payment.claimed", now, sats=row.sats, purpose=row.subject, bought=by, **on_chain)
    return True


async def unclaim(pool: HotPool, fingerprint: bytes, by: str) -> None:
    """Only by whom it was claimed."""
    await pool.execute(UNCLAIM, fingerprint, by)


async def decide(db: AsyncConnection, fingerprint: bytes, transaction: str | None, now: datetime) -> bool:
    """Settled by this transaction, or void without one; False when there is nothing to decide, or not yet, or the transaction
    is that of another payment."""
    values = {"print": fingerprint, "now": now, **({"transaction": transaction} if transaction else {})}
    row = (await db.execute(text(IS_SETTLED if transaction else IS_VOID), values)).first()
    if row is not None:
        outcome = "settled" if transaction else "void"
        what = {"settlement": fingerprint.hex(), "network": row.network, "amount": row.amount, "sats": row.sats}
        await audit.record(db, "settlement.decided", now, outcome=outcome, **what, transaction=transaction)
    return row is not None


def _settlement(row: Any) -> Settlement:
    return Settlement(**{name: getattr(row, name) for name in Settlement.__slots__})


async def told(db: AsyncConnection, fingerprint: bytes, now: datetime) -> Settlement | None:
    row = (await db.execute(text(f"{SAID} WHERE fingerprint = :print"), {"print": fingerprint, "now": now})).first()
    return None if row is None else _settlement(row)


async def page_of(
    db: AsyncConnection, state: str | None, place: Place | None, now: datetime, size: int = PAGE
) -> list[Settlement]:
    """Newest first, up to one more than a page; of this state only."""
    rules, values = [STATES[state] if state else "true"], {"now": now, "most": size + 1}
    if place is not None:
        rules.append("(created_at, fingerprint) < (CAST(:before AS timestamptz), decode(:after, 'hex'))")
        values |= {"before": place.at, "after": place.names[0]}
    listed = f"{SAID} WHERE {' AND '.join(rules)} {NEWEST} LIMIT :most"
    return [_settlement(row) for row in await db.execute(text(listed), values)]


async def every(db: AsyncConnection, state: str | None, now: datetime) -> AsyncIterator[Settlement]:
    """Newest first, a row at a time."""
    listed = f"{SAID} WHERE {STATES[state] if state else 'true'} {NEWEST}"
    async for row in await db.stream(text(listed), {"now": now}):
        yield _settlement(row)


async def unknown(db: AsyncConnection, now: datetime) -> int:
    """How many wait for the operator."""
    counted = f"SELECT count(*) FROM settlements WHERE {STATES['unknown']}"
    return int((await db.execute(text(counted), {"now": now})).scalar_one())
