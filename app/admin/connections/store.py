"""SQL of the connections, for admins: by user, by client, all; and ending many at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.tables import clients, connections, users
from app.web.paging import PAGE, Place


@dataclass(frozen=True, slots=True)
class Connected:
    """Who allowed which app what, and since when."""

    id: str
    user_id: str
    email: str
    client_id: str
    client_name: str
    redirect_host: str
    scope: tuple[str, ...]
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


async def page_of(
    db: AsyncConnection, user_id: str | None, client_id: str | None, place: Place | None, now: datetime
) -> list[Connected]:
    """The open ones, newest first, up to one more than a page."""
    c = connections.c
    found = (
        select(
            c.id,
            c.user_id,
            users.c.email,
            c.client_id,
            clients.c.client_name,
            c.redirect_host,
            c.scope,
            c.created_at,
            c.last_used_at,
            c.expires_at,
        )
        .join(clients, clients.c.client_id == c.client_id)
        .join(users, users.c.id == c.user_id)
        .where(c.revoked_at.is_(None), c.expires_at > now)
    )
    if user_id is not None:
        found = found.where(c.user_id == user_id)
    if client_id is not None:
        found = found.where(c.client_id == client_id)
    if place is not None:
        found = found.where(tuple_(c.created_at, c.id) < tuple_(place.at, *place.names))
    found = found.order_by(c.created_at.desc(), c.id.desc()).limit(PAGE + 1)
    return [Connected(**{**row._mapping, "scope": tuple(row.scope)}) for row in await db.execute(found)]


async def end_all(
    db: AsyncConnection, because: str, now: datetime, *, user_id: str | None = None, client_id: str | None = None
) -> list[str]:
    """Ends every open connection of this user, or with this client; their ids."""
    c = connections.c
    whose = c.user_id == user_id if user_id is not None else c.client_id == client_id
    ended = update(connections).where(whose, c.revoked_at.is_(None)).values(revoked_at=now, revoked_because=because)
    return list((await db.execute(ended.returning(c.id))).scalars())


async def user_of(db: AsyncConnection, words: str) -> str | None:
    """The id of the user with this id or e-mail."""
    found = select(users.c.id).where((users.c.id == words) | (users.c.email == words.lower()))
    return (await db.execute(found)).scalars().first()
