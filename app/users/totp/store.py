"""SQL of the second step: sealed keys, steps and recovery codes that are used once."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.engine import HotPool
from app.db.tables import recovery_codes, totp

IS_ON = "SELECT true FROM totp WHERE user_id = $1"
# Not for somebody who was disabled, or whose password changed since they took the first step.
SEALED = """
SELECT t.sealed FROM totp t JOIN users u ON u.id = t.user_id LEFT JOIN passwords p ON p.user_id = t.user_id
WHERE t.user_id = :user_id AND u.disabled_at IS NULL AND p.changed_at IS NOT DISTINCT FROM :since
"""
USE_STEP = """
UPDATE totp SET last_step = :step, sealed = :sealed WHERE user_id = :user_id AND last_step < :step RETURNING true
"""
USE_RECOVERY_CODE = """
UPDATE recovery_codes SET used_at = :now WHERE user_id = :user_id AND fingerprint = :key AND used_at IS NULL RETURNING true
"""


async def is_on(pool: HotPool, user_id: str) -> bool:
    return await pool.fetchrow(IS_ON, user_id) is not None


async def sealed_key(db: AsyncConnection, user_id: str, since: datetime | None) -> bytes | None:
    """The key of somebody whose first step still counts: their password is the one they had `since` then, if any."""
    sealed: bytes | None = (await db.execute(text(SEALED), {"user_id": user_id, "since": since})).scalar()
    return sealed


async def use_step(db: AsyncConnection, user_id: str, step: int, sealed: bytes) -> bool:
    """True for the one caller that uses this step; earlier ones are gone with it (RFC 6238 §5.2). `sealed` is the key,
    sealed anew, so that it outlives a change of the secret key."""
    values = {"user_id": user_id, "step": step, "sealed": sealed}
    return (await db.execute(text(USE_STEP), values)).first() is not None


async def use_recovery_code(db: AsyncConnection, user_id: str, key: bytes, now: datetime) -> bool:
    """True for the one caller that uses this code."""
    values = {"user_id": user_id, "key": key, "now": now}
    return (await db.execute(text(USE_RECOVERY_CODE), values)).first() is not None


async def on_since(db: AsyncConnection, user_id: str) -> datetime | None:
    since: datetime | None = (await db.execute(select(totp.c.created_at).where(totp.c.user_id == user_id))).scalar()
    return since


async def turn_on(db: AsyncConnection, user_id: str, sealed: bytes, step: int, now: datetime) -> None:
    """A key in place of the earlier one, if there was one; the step that proved it is used."""
    row = upsert(totp).values(user_id=user_id, sealed=sealed, last_step=step, created_at=now)
    changed = {name: row.excluded[name] for name in ("sealed", "last_step", "created_at")}
    await db.execute(row.on_conflict_do_update(index_elements=["user_id"], set_=changed))


async def turn_off(db: AsyncConnection, user_id: str) -> bool:
    """Recovery codes go with it. False when it was off."""
    await db.execute(delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
    gone = delete(totp).where(totp.c.user_id == user_id).returning(totp.c.user_id)
    return (await db.execute(gone)).first() is not None


async def replace_recovery_codes(db: AsyncConnection, user_id: str, keys: list[bytes], now: datetime) -> None:
    """These, and none of the earlier ones."""
    await db.execute(delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
    await db.execute(
        insert(recovery_codes), [{"user_id": user_id, "fingerprint": key, "created_at": now} for key in keys]
    )


async def recovery_codes_left(db: AsyncConnection, user_id: str) -> int:
    c = recovery_codes.c
    left = select(func.count()).select_from(recovery_codes).where(c.user_id == user_id, c.used_at.is_(None))
    return (await db.execute(left)).scalar_one()
