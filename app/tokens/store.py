"""SQL of the waist: signing keys and revocations."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import asyncpg
from sqlalchemy import insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.engine import HotPool
from app.db.tables import revocations, signing_keys
from app.tokens.keyring import MARGIN, KeyRing, SigningKey, opened
from app.tokens.secrets import Purpose

CHANNEL = "gatehouse"
IN_FLIGHT = timedelta(
    seconds=2
)  # two clocks, each half a second off, which is as good as right; and a request between two statements
TWO_AT_ONCE = 0x67617465  # any number, the same in every process


async def keyring(db: AsyncConnection, purpose: Purpose) -> KeyRing:
    """Every key that still matters. Raises Unsealable when the master key is another one."""
    rows = (await db.execute(select(signing_keys).order_by(signing_keys.c.signs_from))).all()
    return KeyRing(
        tuple(
            opened(row.sealed, row.kid, (row.created_at, row.signs_from, row.verifies_until), purpose) for row in rows
        )
    )


async def lock_keys(db: AsyncConnection) -> None:
    """Two replicas that start or rotate together take turns, until their transactions end."""
    await db.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": TWO_AT_ONCE})


async def add_key(db: AsyncConnection, key: SigningKey, purpose: Purpose, *, lifetime: timedelta) -> None:
    """Publishes a key, and dates the end of those it follows: `lifetime` of a token after it begins to sign."""
    await db.execute(
        update(signing_keys)
        .where(signing_keys.c.verifies_until.is_(None), signing_keys.c.algorithm == key.algorithm)
        .values(verifies_until=key.signs_from + lifetime + MARGIN)
    )
    await db.execute(
        insert(signing_keys).values(
            kid=key.kid,
            algorithm=key.algorithm,
            sealed=key.sealed(purpose),
            public_jwk=key.jwk(),
            created_at=key.created_at,
            signs_from=key.signs_from,
            verifies_until=None,
        )
    )
    await notify(db, "keys")


async def revoke(
    db: AsyncConnection, handles: Iterable[str], now: datetime, *, lifetime: timedelta, comes_back: bool = False
) -> None:
    """Voids every token with one of these handles; every replica hears of it when this commits.

    What ended is void whenever it was issued: a replica whose clock is a little ahead, or whose request was on its way when this
    committed, dates its tokens later than `now`. What `comes_back` (a user, a paused project) may have new ones after IN_FLIGHT.
    """
    ends = now + lifetime + MARGIN
    until = now + IN_FLIGHT if comes_back else ends
    rows = [{"handle": handle, "revoked_at": until, "expires_at": ends} for handle in handles]
    if not rows:
        return
    statement = upsert(revocations).values(rows)
    await db.execute(
        statement.on_conflict_do_update(
            index_elements=["handle"],
            set_={
                "revoked_at": statement.excluded.revoked_at,
                "expires_at": statement.excluded.expires_at,
                "recorded_at": text("clock_timestamp()"),
            },
        )
    )
    await notify(db, "revoked")


async def notify(db: AsyncConnection, what: str) -> None:
    await db.execute(text("SELECT pg_notify(:channel, :what)"), {"channel": CHANNEL, "what": what})


REVOKED_SINCE = """
SELECT handle, revoked_at, expires_at, extract(epoch FROM clock_timestamp() - recorded_at)::float8 AS ago
FROM revocations WHERE recorded_at > $1
"""


async def revoked_since(
    asked: HotPool | asyncpg.Connection, since: datetime
) -> list[tuple[str, datetime, datetime, float]]:
    """What was recorded after `since` by the database's clock, and how many seconds ago."""
    rows = await asked.fetch(REVOKED_SINCE, since)
    return [(row["handle"], row["revoked_at"], row["expires_at"], row["ago"]) for row in rows]


async def clock(asked: HotPool | asyncpg.Connection) -> datetime:
    """The database's clock."""
    moment: datetime = await asked.fetchval("SELECT clock_timestamp()")
    return moment


WRITABLE = "SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off'"


async def takes_writes(pool: HotPool) -> bool:
    """False for a standby, and for a primary that its operator has closed, such as before its disk is full."""
    writable: bool = await pool.fetchval(WRITABLE)
    return writable
