"""SQL of the account page and of the operator's lists: connections with the names of their apps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.tables import clients, connections, users


@dataclass(frozen=True, slots=True)
class Connection:
    """A connected app, as people see it."""

    id: str
    email: str
    client_id: str
    client_name: str
    redirect_host: str
    scope: tuple[str, ...]
    created_at: datetime
    last_used_at: datetime


async def live_connections(db: AsyncConnection, user_id: str | None, now: datetime) -> list[Connection]:
    """The open connections of one user, or of everybody, the last used first."""
    c = connections.c
    found = (
        select(
            c.id,
            users.c.email,
            c.client_id,
            clients.c.client_name,
            c.redirect_host,
            c.scope,
            c.created_at,
            c.last_used_at,
        )
        .join(clients, clients.c.client_id == c.client_id)
        .join(users, users.c.id == c.user_id)
        .where(c.revoked_at.is_(None), c.expires_at > now)
        .order_by(c.last_used_at.desc())
        .limit(1000)
    )
    if user_id is not None:
        found = found.where(c.user_id == user_id)
    return [Connection(*row[:5], tuple(row.scope), row.created_at, row.last_used_at) for row in await db.execute(found)]


async def owns_connection(db: AsyncConnection, connection_id: str, user_id: str) -> bool:
    found = select(connections.c.user_id).where(connections.c.id == connection_id)
    return (await db.execute(found)).scalar() == user_id
