"""SQL of payments: settled once, claimed once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import audit
from app.db.engine import HotPool
from app.payments.model import Quote

ADD = """
INSERT INTO payments (id, payment_hash, bolt11, sats, purpose, subject, commitment, detail, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, '{}', $8, $9)
ON CONFLICT DO NOTHING RETURNING *
"""
BY_HASH = "SELECT * FROM payments WHERE payment_hash = $1"
BY_ID = "SELECT * FROM payments WHERE id = $1"
# One of all who want to know may ask the node, once in `$3`.
ASK = """
UPDATE payments SET asked_at = $2 WHERE payment_hash = $1 AND settled_at IS NULL AND closed_at IS NULL
  AND (asked_at IS NULL OR asked_at <= $2::timestamptz - $3::interval OR asked_at > $2) RETURNING expires_at
"""
# Those that nobody asks for are asked after by us, less often the older they are; the first to come takes them.
DUE = """
UPDATE payments SET asked_at = $1 WHERE payment_hash IN (
SELECT payment_hash FROM payments WHERE settled_at IS NULL AND closed_at IS NULL
  AND (asked_at IS NULL OR asked_at <
    $1::timestamptz - least(greatest(($1::timestamptz - created_at) / 10, interval '3 seconds'), interval '1 hour'))
ORDER BY asked_at NULLS FIRST LIMIT $2 FOR UPDATE SKIP LOCKED
) RETURNING payment_hash, expires_at
"""
SETTLED = "UPDATE payments SET settled_at = $2 WHERE payment_hash = $1 AND settled_at IS NULL"
CLOSED = "UPDATE payments SET closed_at = $2 WHERE payment_hash = $1 AND settled_at IS NULL"
CLAIM = """
UPDATE payments SET claimed_at = :now, claimed_by = :by
WHERE payment_hash = :hash AND settled_at IS NOT NULL AND claimed_at IS NULL AND purpose = :purpose
  AND (CAST(:subject AS text) IS NULL OR subject = :subject)
  AND (commitment IS NULL OR commitment = CAST(:commitment AS text))
RETURNING *
"""


def _quote(row: Any) -> Quote:
    return Quote(
        id=row["id"],
        payment_hash=row["payment_hash"].hex(),
        bolt11=row["bolt11"],
        sats=row["sats"],
        purpose=row["purpose"],
        subject=row["subject"],
        commitment=row["commitment"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        settled_at=row["settled_at"],
        claimed_at=row["claimed_at"],
        claimed_by=row["claimed_by"],
    )


async def add(
    pool: HotPool,
    quote_id: str,
    payment_hash: str,
    bolt11: str,
    sats: int,
    purpose: str,
    subject: str,
    commitment: str | None,
    now: datetime,
    expires_at: datetime,
) -> Quote | None:
    """None when a payment of this hash was offered before: a node that repeats itself sells one thing twice."""
    values = (quote_id, bytes.fromhex(payment_hash), bolt11, sats, purpose, subject, commitment, now, expires_at)
    row = await pool.fetchrow(ADD, *values)
    return None if row is None else _quote(row)


async def by_hash(pool: HotPool, payment_hash: bytes) -> Quote | None:
    row = await pool.fetchrow(BY_HASH, payment_hash)
    return None if row is None else _quote(row)


async def by_id(pool: HotPool, quote_id: str) -> Quote | None:
    row = await pool.fetchrow(BY_ID, quote_id)
    return None if row is None else _quote(row)


async def may_ask(pool: HotPool, payment_hash: bytes, now: datetime, every: timedelta) -> datetime | None:
    """When the invoice expires, for the one who may ask the node about it now."""
    expires_at: datetime | None = await pool.fetchval(ASK, payment_hash, now, every)
    return expires_at


async def due(pool: HotPool, now: datetime, most: int) -> list[tuple[bytes, datetime]]:
    return [(row["payment_hash"], row["expires_at"]) for row in await pool.fetch(DUE, now, most)]


async def is_settled(pool: HotPool, payment_hash: bytes, now: datetime) -> None:
    await pool.execute(SETTLED, payment_hash, now)


async def is_closed(pool: HotPool, payment_hash: bytes, now: datetime) -> None:
    await pool.execute(CLOSED, payment_hash, now)


async def claim(
    db: AsyncConnection,
    payment_hash: bytes,
    by: str,
    now: datetime,
    *,
    purpose: str,
    subject: str | None,
    commitment: str | None,
) -> Quote | None:
    values = {"hash": payment_hash, "by": by, "purpose": purpose, "subject": subject, "commitment": commitment}
    row = (await db.execute(text(CLAIM), {**values, "now": now})).mappings().first()
    if row is None:
        return None
    quote = _quote(row)
    await audit.record(
        db, "payment.claimed", now, sats=quote.sats, purpose=purpose, bought=by, payment_hash=quote.payment_hash
    )
    return quote
