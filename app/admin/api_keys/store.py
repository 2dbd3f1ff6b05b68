"""SQL of everybody's API keys, for admins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.tables import api_keys, users
from app.web.paging import PAGE, Place

STALE = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, for admins."""

    id: str
    user_id: str
    email: str
    name: str
    scope: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None

    def is_stale(self, now: datetime) -> bool:
        return (self.last_used_at or self.created_at) < now - STALE


async def page_of(
    db: AsyncConnection, user_id: str | None, stale_before: datetime | None, place: Place | None
) -> list[Key]:
    """Unrevoked ones, newest first, up to one more than a page; of this user; not used since `stale_before`."""
    c = api_keys.c
    found = select(c.id, c.user_id, users.c.email, c.name, c.scope, c.created_at, c.expires_at, c.last_used_at).join(
        users, users.c.id == c.user_id
    )
    found = found.where(c.revoked_at.is_(None))
    if user_id is not None:
        found = found.where(c.user_id == user_id)
    if stale_before is not None:
        unused = func.coalesce(c.last_used_at, c.created_at) < stale_before
        found = found.where(c.created_at < stale_before, unused)
    if place is not None:
        found = found.where(tuple_(c.created_at, c.id) < tuple_(place.at, *place.names))
    found = found.order_by(c.created_at.desc(), c.id.desc()).limit(PAGE + 1)
    return [Key(*row[:4], tuple(row.scope), *row[5:]) for row in await db.execute(found)]
