"""SQL of the identities: an issuer's name for somebody, and the account that it means here (RFC 7523 §3 item 2, OIDC Core §5.7)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
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


async def add(db: AsyncConnection, issuer: str, subject: str, user_id: str, now: datetime) -> bool:
    """False when the subject, or the user, has another counterpart already."""
    values = {"issuer": issuer, "subject": subject, "user_id": user_id, "created_at": now}
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
