"""SQL of the flows to services elsewhere, and of what people came back with and still have to prove."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.engine import HotPool


@dataclass(frozen=True, slots=True)
class Seen:
    """A flow, without what is in it."""

    browser: bytes
    consumed: bool


ADD = "INSERT INTO upstream_flows (fingerprint, browser, purpose, sealed, expires_at) VALUES ($1, $2, $3, $4, $5)"
# Used up by the one request that comes first, in the right browser, in time.
CLAIM_FLOW = """
UPDATE upstream_flows SET consumed_at = $3
WHERE fingerprint = $1 AND browser = $2 AND consumed_at IS NULL AND expires_at > $3 AND purpose <> 'claim'
RETURNING sealed
"""
LOOK = """
SELECT browser, consumed_at IS NOT NULL AS consumed FROM upstream_flows
WHERE fingerprint = $1 AND expires_at > $2 AND purpose <> 'claim'
"""
WAITING = """
SELECT fingerprint, sealed FROM upstream_flows
WHERE browser = $1 AND purpose = 'claim' AND consumed_at IS NULL AND expires_at > $2 ORDER BY expires_at DESC LIMIT 1
"""
USE_CLAIM = """
UPDATE upstream_flows SET consumed_at = :now
WHERE fingerprint = :key AND purpose = 'claim' AND consumed_at IS NULL AND expires_at > :now RETURNING true
"""


async def add_flow(
    pool: HotPool, key: bytes, browser: bytes, purpose: str, sealed: bytes, expires_at: datetime
) -> None:
    await pool.execute(ADD, key, browser, purpose, sealed, expires_at)


async def claim_flow(pool: HotPool, key: bytes, browser: bytes, now: datetime) -> bytes | None:
    sealed: bytes | None = await pool.fetchval(CLAIM_FLOW, key, browser, now)
    return sealed


async def look_at_flow(pool: HotPool, key: bytes, now: datetime) -> Seen | None:
    row = await pool.fetchrow(LOOK, key, now)
    return None if row is None else Seen(row["browser"], row["consumed"])


async def waiting_claim(pool: HotPool, browser: bytes, now: datetime) -> tuple[bytes, bytes] | None:
    """The newest of this browser: its key, and what is sealed in it."""
    row = await pool.fetchrow(WAITING, browser, now)
    return None if row is None else (row["fingerprint"], row["sealed"])


async def use_claim(db: AsyncConnection, key: bytes, now: datetime) -> bool:
    """True for the one request that uses it."""
    return (await db.execute(text(USE_CLAIM), {"key": key, "now": now})).first() is not None
