"""SQL of the API keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import or_, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.engine import HotPool
from app.db.tables import api_keys
from app.protocol.types import Authorization
from app.tokens.secrets import API_KEY, fingerprint
from app.web.paging import PAGE, Place


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
    rotated_at: datetime | None = None  # another key has taken its place


USABLE = """
SELECT k.id, k.user_id, k.scope, k.expires_at, k.last_used_at FROM api_keys k JOIN users u ON u.id = k.user_id
WHERE k.fingerprint = $1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $2)
  AND u.disabled_at IS NULL
"""
TOO_LONG = 200  # characters; ours are shorter
SHOWN = [api_keys.c[name] for name in ApiKey.__slots__]


class Usable(NamedTuple):
    """What a key authorizes, until when, and when it was used before, as far as that is written: within two seconds."""

    authorization: Authorization
    expires_at: datetime | None
    last_used_at: datetime | None


async def usable(pool: HotPool, api_key: str, resource: str, now: datetime) -> Usable | None:
    """None for an unknown, expired or revoked one alike; for what does not look like one the database is not asked."""
    if not api_key.startswith(API_KEY) or len(api_key) >= TOO_LONG or not api_key.isascii():
        return None
    row = await pool.fetchrow(USABLE, fingerprint(api_key), now)
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
    return Usable(authorization, row["expires_at"], row["last_used_at"])


WHY_UNUSABLE = """
SELECT k.id, k.user_id, CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked' WHEN k.expires_at <= $2 THEN 'expired'
  ELSE 'its owner is disabled' END AS why
FROM api_keys k WHERE k.fingerprint = $1
"""


async def why_unusable(pool: HotPool, key: bytes, now: datetime) -> tuple[str, str, str] | None:
    """The id, the owner and the reason, for the audit log only; None when there was never such a key."""
    row = await pool.fetchrow(WHY_UNUSABLE, key, now)
    return None if row is None else (row["id"], row["user_id"], row["why"])


IS_ADMIN = "SELECT is_admin AND disabled_at IS NULL FROM users WHERE id = $1"


async def is_admin(pool: HotPool, user_id: str) -> bool:
    """Whether a token of this user with the scope `admin` opens anything: asked each time, so that it ends at once."""
    return bool(await pool.fetchval(IS_ADMIN, user_id))


MOST = 100  # of one user that work at a time
ADD = """
INSERT INTO api_keys (id, user_id, name, fingerprint, scope, created_at, expires_at)
SELECT :id, :user_id, :name, :fingerprint, :scope, :created_at, :expires_at
WHERE CAST(:most AS integer) IS NULL OR :most > (SELECT count(*) FROM api_keys
  WHERE user_id = :user_id AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > :created_at))
RETURNING id
"""


async def add_key(db: AsyncConnection, key: ApiKey, fingerprint: bytes, most: int | None) -> bool:
    """False when its owner has `most` keys that work."""
    names = ("id", "user_id", "name", "created_at", "expires_at")
    values = {name: getattr(key, name) for name in names} | {"scope": list(key.scope), "most": most}
    return (await db.execute(text(ADD), values | {"fingerprint": fingerprint})).first() is not None


ENDS = """
SELECT min(expires_at) FROM (SELECT expires_at FROM api_keys WHERE id = ANY($1)
  UNION ALL SELECT expires_at FROM connections WHERE id = ANY($1)) held
"""


async def ends(pool: HotPool, handles: tuple[str, ...]) -> datetime | None:
    """When the first of the API keys and connections among these names ends; None when none does."""
    at: datetime | None = await pool.fetchval(ENDS, list(handles))
    return at


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


# What the key was, for the one caller that replaces it.
REPLACE = """
WITH old AS (
  SELECT * FROM api_keys WHERE id = :id AND user_id = :user_id AND revoked_at IS NULL AND rotated_at IS NULL
    AND (expires_at IS NULL OR expires_at > :now) FOR UPDATE
)
UPDATE api_keys k SET rotated_at = :now, revoked_at = CAST(:revoked_at AS timestamptz),
  expires_at = least(k.expires_at, CAST(:ends_at AS timestamptz))
FROM old WHERE k.id = old.id
RETURNING old.name, old.scope, old.created_at, old.expires_at
"""


@dataclass(frozen=True, slots=True)
class Replaced:
    """A key as it was before another took its place."""

    name: str
    scope: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None


async def replace_key(
    db: AsyncConnection, key_id: str, user_id: str, now: datetime, ends_at: datetime
) -> Replaced | None:
    """Ends the key of this user now, or later at `ends_at`. None when there is none that works, or it was replaced before."""
    # A key that is revoked keeps its own end: `least` of it and NULL is it.
    later, at_once = (ends_at, None) if ends_at > now else (None, now)
    values = {"id": key_id, "user_id": user_id, "now": now, "ends_at": later, "revoked_at": at_once}
    row = (await db.execute(text(REPLACE), values)).one_or_none()
    return None if row is None else Replaced(row.name, tuple(row.scope), row.created_at, row.expires_at)


async def replaceable(db: AsyncConnection, key_id: str, user_id: str, now: datetime) -> ApiKey | None:
    """The key of this user that `replace_key` would replace."""
    c = api_keys.c
    found = select(*SHOWN).where(c.id == key_id, c.user_id == user_id, c.revoked_at.is_(None), c.rotated_at.is_(None))
    row = (await db.execute(found.where(or_(c.expires_at.is_(None), c.expires_at > now)))).one_or_none()
    return None if row is None else ApiKey(row.id, row.user_id, row.name, tuple(row.scope), *row[4:])


async def unrevoked(db: AsyncConnection, key_id: str, user_id: str) -> ApiKey | None:
    """The key of this user that can still be revoked."""
    c = api_keys.c
    found = select(*SHOWN).where(c.id == key_id, c.user_id == user_id, c.revoked_at.is_(None))
    row = (await db.execute(found)).one_or_none()
    return None if row is None else ApiKey(row.id, row.user_id, row.name, tuple(row.scope), *row[4:])


async def page_of_keys(db: AsyncConnection, user_id: str, place: Place | None) -> list[ApiKey]:
    """The unrevoked keys of a user, newest first, up to one more than a page."""
    c = api_keys.c
    found = select(*SHOWN).where(c.user_id == user_id, c.revoked_at.is_(None))
    if place is not None:
        found = found.where(tuple_(c.created_at, c.id) < tuple_(place.at, *place.names))
    found = found.order_by(c.created_at.desc(), c.id.desc()).limit(PAGE + 1)
    return [ApiKey(row.id, row.user_id, row.name, tuple(row.scope), *row[4:]) for row in await db.execute(found)]
