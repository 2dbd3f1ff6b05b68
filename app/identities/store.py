"""SQL of the identities: an issuer's name for somebody, and the account that it means here (RFC 7523 §3 item 2, OIDC Core §5.7).

Those that a user has linked, or the operator has added, let them sign in; those that an assertion has bound do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from app import audit
from app.db.engine import HotPool
from app.db.tables import identities, users


@dataclass(frozen=True, slots=True)
class Known:
    """The account behind an identity."""

    user_id: str
    enabled: bool


KNOWN = """
SELECT u.id, u.disabled_at IS NULL AS enabled FROM identities i JOIN users u ON u.id = i.user_id
WHERE i.issuer = $1 AND i.subject = $2
"""
# Found by e-mail once, and by issuer and subject ever after: an address may be given to somebody else one day, and that
# one has another subject. Hence the account of an address that a subject of this issuer has already is left alone, too.
_bound = audit.noted(
    "identity.bound", "$4, user_id, $5, jsonb_build_object('issuer', $1::text, 'subject', $2::text)", "bound", 6
)
BIND = f"""
WITH bound AS (
  INSERT INTO identities (issuer, subject, user_id, created_at)
  SELECT $1, $2, u.id, $4 FROM users u WHERE u.email = $3 AND u.disabled_at IS NULL
  ON CONFLICT DO NOTHING
  RETURNING user_id
)
{_bound}
"""


async def known(pool: HotPool, issuer: str, subject: str) -> Known | None:
    row = await pool.fetchrow(KNOWN, issuer, subject)
    return None if row is None else Known(row["id"], row["enabled"])


async def bind(pool: HotPool, issuer: str, subject: str, email: str, client_id: str, now: datetime) -> Known | None:
    """The account of this address from now on means this subject; None when there is no such account, when it is disabled,
    or when it has another subject of this issuer. Whoever comes second, of several at once, is told what the first did."""
    await pool.execute(BIND, issuer, subject, email, now, client_id, *audit.who())
    return await known(pool, issuer, subject)


SIGNS_IN = """
UPDATE identities i SET last_used_at = $3, shown = $4, provider = $5 FROM users u
WHERE i.issuer = $1 AND i.subject = $2 AND i.signs_in_since IS NOT NULL AND u.id = i.user_id
RETURNING u.id, u.disabled_at IS NULL AS enabled
"""


async def signs_in(pool: HotPool, issuer: str, subject: str, provider: str, shown: str, now: datetime) -> Known | None:
    """The account that is signed in to by this identity."""
    row = await pool.fetchrow(SIGNS_IN, issuer, subject, now, shown, provider)
    return None if row is None else Known(row["id"], row["enabled"])


async def link(
    db: AsyncConnection, issuer: str, subject: str, user_id: str, provider: str, shown: str, now: datetime
) -> bool:
    """From now on this user signs in with it. False when the subject, or the user, has another counterpart already."""
    c, told = identities.c, {"provider": provider, "shown": shown, "signs_in_since": now}
    values = {"issuer": issuer, "subject": subject, "user_id": user_id, "created_at": now, **told}
    added = upsert(identities).values(**values).on_conflict_do_nothing().returning(c.user_id)
    if (await db.execute(added)).first() is not None:
        return True
    same = update(identities).where(c.issuer == issuer, c.subject == subject, c.user_id == user_id)
    return (await db.execute(same.values(**told).returning(c.user_id))).first() is not None


@dataclass(frozen=True, slots=True)
class Linked:
    """What a user signs in with."""

    issuer: str
    subject: str
    provider: str | None
    shown: str | None
    signs_in_since: datetime
    last_used_at: datetime | None


async def linked(db: AsyncConnection, user_id: str) -> list[Linked]:
    c = identities.c
    shown = (c.issuer, c.subject, c.provider, c.shown, c.signs_in_since, c.last_used_at)
    found = select(*shown).where(c.user_id == user_id, c.signs_in_since.is_not(None)).order_by(c.signs_in_since)
    return [Linked(*row) for row in await db.execute(found)]


# One at a time, or two unlinked at once would each take the other for the way that is left.
LOCK = "SELECT FROM users WHERE id = :user_id FOR UPDATE"
UNLINK = """
DELETE FROM identities i WHERE i.user_id = :user_id AND i.issuer = :issuer AND i.subject = :subject
  AND i.signs_in_since IS NOT NULL
  AND ((:own AND (EXISTS (SELECT FROM passwords p WHERE p.user_id = i.user_id)
              OR EXISTS (SELECT FROM passkeys k WHERE k.user_id = i.user_id)))
    OR EXISTS (SELECT FROM identities o WHERE o.user_id = i.user_id AND o.issuer <> i.issuer AND o.signs_in_since IS NOT NULL))
RETURNING i.provider
"""


async def unlink(db: AsyncConnection, user_id: str, issuer: str, subject: str, *, own_ways: bool) -> bool:
    """False for the last way in, and for what is not theirs. `own_ways`: people may sign in here by password or passkey."""
    await db.execute(text(LOCK), {"user_id": user_id})
    values = {"user_id": user_id, "issuer": issuer, "subject": subject, "own": own_ways}
    return (await db.execute(text(UNLINK), values)).first() is not None


async def add(db: AsyncConnection, issuer: str, subject: str, user_id: str, now: datetime) -> bool:
    """By the operator's word. False when the subject, or the user, has another counterpart already."""
    values = {"issuer": issuer, "subject": subject, "user_id": user_id, "created_at": now, "signs_in_since": now}
    added = upsert(identities).values(**values).on_conflict_do_nothing().returning(identities.c.user_id)
    return (await db.execute(added)).first() is not None


async def listed(db: AsyncConnection) -> list[dict[str, Any]]:
    """Every one, by account."""
    c = identities.c
    found = select(users.c.email, c.issuer, c.subject, c.created_at).join_from(identities, users)
    return [dict(row._mapping) for row in await db.execute(found.order_by(users.c.email, c.issuer))]


async def remove(db: AsyncConnection, issuer: str, subject: str) -> str | None:
    """The user's id, or None when there was none."""
    c = identities.c
    gone = delete(identities).where(c.issuer == issuer, c.subject == subject).returning(c.user_id)
    user_id: str | None = (await db.execute(gone)).scalar()
    return user_id
