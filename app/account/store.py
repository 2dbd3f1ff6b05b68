"""SQL of the account pages and of the operator's list: connections with the names of their apps, sessions, usage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import and_, delete, func, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.tables import browser_sessions, clients, connections, consents, tool_calls, users
from app.web.paging import PAGE, Place


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


APPS = 30  # on one page: there is much to say of each, and no page is to weigh more than 50 KB


@dataclass(frozen=True, slots=True)
class App:
    """A connected app on its user's page. `allowed_at` is when the answer was given that is remembered for it, if one is."""

    id: str
    client_id: str
    client_name: str
    kind: str
    redirect_host: str
    resource: str
    scope: tuple[str, ...]
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    allowed_at: datetime | None


async def apps(db: AsyncConnection, user_id: str, place: Place | None, now: datetime) -> list[App]:
    """The open connections of a user, newest first, up to one more than APPS."""
    c, s = connections.c, consents.c
    remembered = and_(
        s.user_id == c.user_id,
        s.client_id == c.client_id,
        s.redirect_host == c.redirect_host,
        s.resource == c.resource,
    )
    found = (
        select(c.id, c.client_id, clients.c.client_name, clients.c.kind, c.redirect_host, c.resource, c.scope)
        .add_columns(c.created_at, c.last_used_at, c.expires_at, s.given_at.label("allowed_at"))
        .join(clients, clients.c.client_id == c.client_id)
        .join(consents, remembered, isouter=True)
        .where(c.user_id == user_id, c.revoked_at.is_(None), c.expires_at > now)
        .order_by(c.created_at.desc(), c.id.desc())
        .limit(APPS + 1)
    )
    if place is not None:
        found = found.where(tuple_(c.created_at, c.id) < tuple_(place.at, *place.names))
    return [App(**{**row._mapping, "scope": tuple(row.scope)}) for row in await db.execute(found)]


async def connection_of(db: AsyncConnection, connection_id: str, user_id: str) -> tuple[str, str, str] | None:
    """The client, the redirect host and the resource of a connection of this user."""
    c = connections.c
    found = select(c.client_id, c.redirect_host, c.resource).where(c.id == connection_id, c.user_id == user_id)
    row = (await db.execute(found)).one_or_none()
    return None if row is None else (row.client_id, row.redirect_host, row.resource)


@dataclass(frozen=True, slots=True)
class Allowed:
    """An answer that is remembered: for the same app, place and tools nobody is asked again."""

    client_id: str
    client_name: str
    kind: str
    redirect_host: str
    resource: str
    scope: tuple[str, ...]
    given_at: datetime


async def allowed(db: AsyncConnection, user_id: str, place: Place | None) -> list[Allowed]:
    """The remembered answers of a user, newest first, up to one more than a page."""
    s = consents.c
    key = (s.given_at, s.client_id, s.redirect_host, s.resource)
    found = (
        select(s.client_id, clients.c.client_name, clients.c.kind, s.redirect_host, s.resource, s.scope, s.given_at)
        .join(clients, clients.c.client_id == s.client_id)
        .where(s.user_id == user_id)
        .order_by(*(column.desc() for column in key))
        .limit(PAGE + 1)
    )
    if place is not None:
        found = found.where(tuple_(*key) < tuple_(place.at, *place.names))
    return [Allowed(*row[:5], tuple(row.scope), row.given_at) for row in await db.execute(found)]


async def forget_consent(db: AsyncConnection, user_id: str, client_id: str, redirect_host: str, resource: str) -> bool:
    """False when nothing of the kind was remembered."""
    s = consents.c
    mine = (s.user_id == user_id, s.client_id == client_id, s.redirect_host == redirect_host, s.resource == resource)
    return (await db.execute(delete(consents).where(*mine))).rowcount == 1


async def tools_lately(db: AsyncConnection, user_id: str, client_ids: list[str], since: date) -> dict[str, list[str]]:
    """The tools that each of these apps or keys called since that day, the most called first."""
    t = tool_calls.c
    found = (
        select(t.client_id, t.tool)
        .where(t.user_id == user_id, t.day >= since, t.client_id.in_(client_ids))
        .group_by(t.client_id, t.tool)
        .order_by(func.sum(t.calls).desc(), t.tool)
    )
    tools: dict[str, list[str]] = {}
    for row in await db.execute(found):
        tools.setdefault(row.client_id, []).append(row.tool)
    return tools


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that is signed in."""

    id: str
    created_at: datetime
    last_seen_at: datetime
    user_agent: str
    address: str


async def sessions(
    db: AsyncConnection, user_id: str, place: Place | None, now: datetime, idle_since: datetime
) -> list[Session]:
    """The live sessions of a user, newest first, up to one more than a page."""
    b = browser_sessions.c
    found = (
        select(b.id, b.created_at, b.last_seen_at, b.user_agent, b.address)
        .where(b.user_id == user_id, b.expires_at > now, b.last_seen_at > idle_since)
        .order_by(b.created_at.desc(), b.id.desc())
        .limit(PAGE + 1)
    )
    if place is not None:
        found = found.where(tuple_(b.created_at, b.id) < tuple_(place.at, *place.names))
    return [Session(*row) for row in await db.execute(found)]


async def end_session(db: AsyncConnection, session_id: str, user_id: str) -> bool:
    b = browser_sessions.c
    return (await db.execute(delete(browser_sessions).where(b.id == session_id, b.user_id == user_id))).rowcount == 1


async def end_other_sessions(db: AsyncConnection, session_id: str, user_id: str) -> int:
    """How many there were besides this one."""
    b = browser_sessions.c
    return (await db.execute(delete(browser_sessions).where(b.user_id == user_id, b.id != session_id))).rowcount


# By day, by tool and by app in one go; of apps and keys that are gone only the calls are known.
USAGE = """
SELECT t.day, t.tool, t.client_id, CASE WHEN t.client_id IS NOT NULL THEN coalesce(
    (SELECT client_name FROM clients c WHERE c.client_id = t.client_id),
    (SELECT name FROM api_keys k WHERE k.id = t.client_id AND k.user_id = :user_id)) END AS name, t.calls
FROM (
  SELECT day, tool, client_id, sum(calls)::bigint AS calls FROM tool_calls
  WHERE user_id = :user_id AND day >= :since
  GROUP BY GROUPING SETS ((day), (tool), (client_id)) ORDER BY day IS NULL, calls DESC LIMIT 1000
) t ORDER BY t.calls DESC
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """Calls by day, by tool, and by app or API key (with its name, if it is still there), the most called first."""

    days: dict[date, int]
    tools: list[tuple[str, int]]
    apps: list[tuple[str | None, int]]


async def usage(db: AsyncConnection, user_id: str, since: date) -> Usage:
    days: dict[date, int] = {}
    tools: list[tuple[str, int]] = []
    called_by: list[tuple[str | None, int]] = []
    for row in await db.execute(text(USAGE), {"user_id": user_id, "since": since}):
        if row.day is not None:
            days[row.day] = row.calls
        elif row.tool is not None:
            tools.append((row.tool, row.calls))
        else:
            called_by.append((row.name, row.calls))
    return Usage(days, tools, called_by)
