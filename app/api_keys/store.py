"""SQL of the API keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.engine import HotPool
from app.db.tables import api_keys
from app.protocol.types import Authorization


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What may be shown of a key. Times are UTC."""

    id: str
    user_id: str
    name: str
    scope: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


USABLE = """
SELECT k.id, k.user_id, k.scope, k.expires_at FROM api_keys k JOIN users u ON u.id = k.user_id
WHERE k.fingerprint = $1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $2)
  AND u.disabled_at IS NULL
"""
SHOWN = [api_keys.c[name] for name in ApiKey.__slots__]


async def usable(
    pool: HotPool, key: bytes, resource: str, now: datetime
) -> tuple[Authorization, datetime | None] | None:
    """What the key authorizes and until when; None for an unknown, expired or revoked one alike."""
    row = await pool.fetchrow(USABLE, key, now)
    if row is None:
        return None
    authorization = Authorization(
        subject=row["user_id"],
        client_id=row["id"],
        scope=tuple(row["scope"]),
        resource=resource,
        via="api_key",
        key_id=row["id"],
    )
    return authorization, row["expires_at"]


IS_ADMIN = "SELECT is_admin AND disabled_at IS NULL FROM users WHERE id = $1"


async def is_admin(pool: HotPool, user_id: str) -> bool:
    """Whether a token of this user with the scope `admin` opens anything: asked each time, so that it ends at once."""
    return bool(await pool.fetchval(IS_ADMIN, user_id))


async def add_key(db: AsyncConnection, key: ApiKey, fingerprint: bytes) -> None:
    values = {name: getattr(key, name) for name in ApiKey.__slots__}
    await db.execute(insert(api_keys).values(**{**values, "scope": list(key.scope)}, fingerprint=fingerprint))


async def keys_of(db: AsyncConnection, user_id: str | None) -> list[ApiKey]:
    """The unrevoked keys of one user, or of all, newest first."""
    found = select(*SHOWN).where(api_keys.c.revoked_at.is_(None)).order_by(api_keys.c.created_at.desc())
    if user_id is not None:
        found = found.where(api_keys.c.user_id == user_id)
    return [ApiKey(row.id, row.user_id, row.name, tuple(row.scope), *row[4:]) for row in await db.execute(found)]


async def end_key(db: AsyncConnection, key_id: str, user_id: str | None, now: datetime) -> str | None:
    """Revokes a key of this user (of anybody, for an operator), and returns its owner; None when there is no such key."""
    ended = update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
    if user_id is not None:
        ended = ended.where(api_keys.c.user_id == user_id)
    owner: str | None = (await db.execute(ended.values(revoked_at=now).returning(api_keys.c.user_id))).scalar()
    return owner
