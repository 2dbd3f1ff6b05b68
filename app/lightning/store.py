"""SQL of the pretend node: its invoices, and which of them somebody pretended to pay."""

from __future__ import annotations

from datetime import datetime

from app.db.engine import HotPool

ADD = "INSERT INTO pretend_invoices (payment_hash, preimage, sats, expires_at) VALUES ($1, $2, $3, $4)"
PAID = "SELECT preimage FROM pretend_invoices WHERE payment_hash = $1 AND paid_at IS NOT NULL"
PAY = """
UPDATE pretend_invoices SET paid_at = coalesce(paid_at, $2)
WHERE payment_hash = $1 AND (expires_at > $2 OR paid_at IS NOT NULL) RETURNING preimage
"""


async def add(pool: HotPool, payment_hash: bytes, preimage: bytes, sats: int, expires_at: datetime) -> None:
    await pool.execute(ADD, payment_hash, preimage, sats, expires_at)


async def paid(pool: HotPool, payment_hash: bytes) -> bytes | None:
    preimage: bytes | None = await pool.fetchval(PAID, payment_hash)
    return preimage


async def pay(pool: HotPool, payment_hash: bytes, now: datetime) -> bytes | None:
    """The preimage; None for an unknown or expired invoice."""
    preimage: bytes | None = await pool.fetchval(PAY, payment_hash, now)
    return preimage
