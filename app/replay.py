"""What may be used only once, on every replica: the `jti` of assertions and proofs (RFC 7523 §3, RFC 9449 §11.1)."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from app.db.engine import HotPool

FIRST_USE = """
INSERT INTO used_once (fingerprint, expires_at) VALUES ($1, $2)
ON CONFLICT (fingerprint) DO UPDATE SET expires_at = excluded.expires_at WHERE used_once.expires_at < $3
RETURNING true
"""
LATE = timedelta(minutes=2)  # clocks may differ, and what expired is accepted for another minute


BEGINNING = datetime.fromtimestamp(0, UTC)


async def epoch(pool: HotPool) -> datetime:
    """When this database was last restored from a backup, which may have forgotten the uses of whatever is older."""
    if await pool.fetchval("SELECT to_regclass('restores') IS NULL"):  # not migrated yet
        return BEGINNING
    return await pool.fetchval("SELECT max(at) FROM restores") or BEGINNING


async def first_use(
    pool: HotPool,
    kind: str,
    issuer: str,
    jti: str,
    now: datetime,
    expires_at: datetime,
    *,
    made_at: datetime,
    epoch: datetime,
) -> bool:
    """True for the one caller, of however many, that uses this `jti` of this issuer first, until it expires; for nobody when
    it was made before the epoch."""
    if made_at < epoch:
        return False
    fingerprint = hashlib.sha256("\0".join((kind, issuer, jti)).encode("utf-8", "surrogatepass")).digest()
    return await pool.fetchrow(FIRST_USE, fingerprint, expires_at + LATE, now) is not None
