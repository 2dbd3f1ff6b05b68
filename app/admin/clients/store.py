"""SQL of the clients, for admins: searched and paged, blocked, given lifetimes and new secrets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, or_, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.prefix import begins, plan_anew
from app.db.tables import clients, connections
from app.web.paging import PAGE, Place

MANY = 100  # past it nobody counts: "100 or more"


@dataclass(frozen=True, slots=True)
class App:
    """A client, for admins. Lifetimes are in seconds; `connections` are the open ones, as far as MANY."""

    client_id: str
    kind: str
    client_name: str
    redirect_uris: tuple[str, ...]
    token_endpoint_auth_method: str
    created_at: datetime
    last_used_at: datetime | None
    blocked_at: datetime | None
    access_lifetime: int | None
    refresh_idle: int | None
    refresh_absolute: int | None
    connections: int


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """In seconds; absent: as the settings say."""

    access_lifetime: int | None
    refresh_idle: int | None
    refresh_absolute: int | None


COLUMNS = [clients.c[name] for name in App.__slots__ if name != "connections"]


def _shown(now: datetime) -> Select[Any]:
    c = connections.c
    # Between itself and itself, in the order of the one index that begins with it, which is left after MANY. Where nearly all
    # connections are of one client, Postgres takes an equal one for just as frequent, and looks for any other through them all.
    same = c.client_id.between(clients.c.client_id, clients.c.client_id)
    held = select(c.id).where(same, c.revoked_at.is_(None), c.expires_at > now)
    held = held.order_by(c.client_id, c.created_at).limit(MANY)
    counted = select(func.count()).select_from(held.correlate(clients).subquery()).scalar_subquery()
    return select(*COLUMNS, counted.label("connections")).where(clients.c.revoked_at.is_(None))


def _app(row: Any) -> App:
    return App(**{**row._mapping, "redirect_uris": tuple(row.redirect_uris)})


async def page_of(
    db: AsyncConnection, words: str | None, kind: str | None, place: Place | None, now: datetime
) -> list[App]:
    """Newest first, up to one more than a page; whose name or id begins with `words`; `kind`: one of the table's, or blocked."""
    c = clients.c
    found = _shown(now)
    if words is not None:
        await plan_anew(db)
        found = found.where(or_(begins(func.lower(c.client_name), words.lower()), begins(c.client_id, words)))
    if kind == "blocked":
        found = found.where(c.blocked_at.is_not(None))
    elif kind is not None:
        found = found.where(c.kind == kind)
    if place is not None:
        found = found.where(tuple_(c.created_at, c.client_id) < tuple_(place.at, *place.names))
    found = found.order_by(c.created_at.desc(), c.client_id.desc()).limit(PAGE + 1)
    return [_app(row) for row in await db.execute(found)]


async def app_of(db: AsyncConnection, client_id: str, now: datetime) -> App | None:
    row = (await db.execute(_shown(now).where(clients.c.client_id == client_id))).one_or_none()
    return None if row is None else _app(row)


async def block(db: AsyncConnection, client_id: str, now: datetime) -> bool:
    """True for the one caller that blocks it."""
    c = clients.c
    open_one = update(clients).where(c.client_id == client_id, c.revoked_at.is_(None), c.blocked_at.is_(None))
    return (await db.execute(open_one.values(blocked_at=now))).rowcount == 1


async def unblock(db: AsyncConnection, client_id: str) -> bool:
    """True for the one caller that lets it in again."""
    c = clients.c
    blocked = update(clients).where(c.client_id == client_id, c.revoked_at.is_(None), c.blocked_at.is_not(None))
    return (await db.execute(blocked.values(blocked_at=None))).rowcount == 1


SHORTEN = """
UPDATE connections SET expires_at = least(expires_at, created_at + make_interval(secs => :seconds))
WHERE client_id = :client_id AND revoked_at IS NULL
"""


async def set_lifetimes(db: AsyncConnection, client_id: str, lifetimes: Lifetimes) -> bool:
    """False when there is no such client. Connections that are open already end sooner, if that is so, but never later."""
    c = clients.c
    values = {name: getattr(lifetimes, name) for name in Lifetimes.__slots__}
    mine = update(clients).where(c.client_id == client_id, c.revoked_at.is_(None)).values(**values)
    if (await db.execute(mine)).rowcount == 0:
        return False
    if lifetimes.refresh_absolute is not None:
        await db.execute(text(SHORTEN), {"client_id": client_id, "seconds": lifetimes.refresh_absolute})
    return True


async def set_secret(db: AsyncConnection, client_id: str, fingerprint: bytes) -> bool:
    """False when there is no such client, or it has no secret to be replaced."""
    c = clients.c
    holds = update(clients).where(c.client_id == client_id, c.revoked_at.is_(None), c.secret_fingerprint.is_not(None))
    return (await db.execute(holds.values(secret_fingerprint=fingerprint))).rowcount == 1
