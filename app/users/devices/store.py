"""SQL of the devices that signed somebody in before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.engine import HotPool
from app.db.tables import remembered_devices
from app.tokens.secrets import new_id

KNOWN_FOR = timedelta(days=90)
TRUSTED_FOR = timedelta(days=30)
SHOWN = 50

IS_KNOWN = """
SELECT true FROM remembered_devices d JOIN users u ON u.id = d.user_id
WHERE d.fingerprint = $1 AND d.expires_at > $3 AND u.email = $2
"""
IS_TRUSTED = text(
    "SELECT true FROM remembered_devices WHERE fingerprint = :device AND user_id = :user_id AND trusted_until > :now"
)

RENAME = text("UPDATE remembered_devices SET fingerprint = :new WHERE fingerprint = :old")
REMEMBER = text("""
INSERT INTO remembered_devices AS d
  (fingerprint, user_id, id, created_at, last_used_at, expires_at, trusted_until, user_agent)
VALUES (:fingerprint, :user_id, :id, :now, :now, :until, :trusted, :user_agent)
ON CONFLICT (fingerprint, user_id) DO UPDATE SET
  last_used_at = excluded.last_used_at, expires_at = excluded.expires_at, user_agent = excluded.user_agent,
  trusted_until = coalesce(excluded.trusted_until, d.trusted_until)
""")


@dataclass(frozen=True, slots=True)
class Device:
    """A browser that needs no second step."""

    id: str
    user_agent: str
    last_used_at: datetime
    trusted_until: datetime
    is_this: bool


async def is_known(pool: HotPool, device: bytes, email: str, now: datetime) -> bool:
    """Whether the owner of this e-mail signed in on this device before."""
    return await pool.fetchrow(IS_KNOWN, device, email, now) is not None


async def is_trusted(db: AsyncConnection, device: bytes, user_id: str, now: datetime) -> bool:
    """Whether this user needs no second step on this device."""
    values = {"device": device, "user_id": user_id, "now": now}
    return (await db.execute(IS_TRUSTED, values)).first() is not None


async def remember(
    db: AsyncConnection,
    old: bytes | None,
    new: bytes,
    user_id: str,
    user_agent: str,
    now: datetime,
    *,
    trusted_until: datetime | None,
) -> None:
    """This device is known by its new secret from now on, for everybody who signs in on it; the old one is worth nothing."""
    if old is not None:
        await db.execute(RENAME, {"old": old, "new": new})
    values = {"id": new_id("dev"), "fingerprint": new, "user_id": user_id, "user_agent": user_agent[:300]}
    await db.execute(REMEMBER, values | {"now": now, "until": now + KNOWN_FOR, "trusted": trusted_until})


async def trusted(db: AsyncConnection, user_id: str, this: bytes | None, now: datetime) -> list[Device]:
    """The devices that skip the second step, the last used first, at most SHOWN."""
    c = remembered_devices.c
    found = select(c.id, c.user_agent, c.last_used_at, c.trusted_until, c.fingerprint).where(
        c.user_id == user_id, c.trusted_until > now
    )
    rows = await db.execute(found.order_by(c.last_used_at.desc()).limit(SHOWN))
    return [Device(*row[:4], row.fingerprint == this) for row in rows]


async def forget(db: AsyncConnection, user_id: str, device_id: str | None = None) -> int:
    """How many devices this user is unknown on from now: the one named, or all."""
    gone = delete(remembered_devices).where(remembered_devices.c.user_id == user_id)
    if device_id is not None:
        gone = gone.where(remembered_devices.c.id == device_id)
    return (await db.execute(gone)).rowcount
