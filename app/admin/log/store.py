"""SQL of the audit log, read: filtered, a page at a time by id, and in batches for a file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import asking
from app.db.prefix import plan_anew
from app.db.tables import audit_events, users

BATCH = 1000


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the log. `id` grows with time."""

    id: int
    at: datetime
    event: str
    user_id: str | None
    client_id: str | None
    address: str | None
    actor: str | None
    actor_id: str | None
    request_id: str | None
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events; what is absent does not matter. `event` may be a group: `api_key` is every `api_key.…`.
    `user_id` is whom it concerns, `by` the id of who did it, or a kind of actor."""

    since: datetime | None = None
    until: datetime | None = None
    event: str | None = None
    user_id: str | None = None
    client_id: str | None = None
    by: str | None = None


# One look into the index for each name, however often it happened; the index is without the commonest (app/db/tables.py).
COMMONEST = "token.issued"
NAMES = f"""
WITH RECURSIVE found AS (
  (SELECT event FROM audit_events WHERE event <> '{COMMONEST}' ORDER BY event LIMIT 1)
  UNION ALL
  SELECT (SELECT e.event FROM audit_events e WHERE e.event > f.event AND e.event <> '{COMMONEST}' ORDER BY e.event LIMIT 1)
  FROM found f WHERE f.event IS NOT NULL
)
SELECT event FROM found WHERE event IS NOT NULL
"""


async def names(db: AsyncConnection) -> list[str]:
    """Every kind of event that there is in the log."""
    return sorted({COMMONEST, *(await db.execute(text(NAMES))).scalars()})


# Ids grow with time, so that the first event since a moment is found by halving, with twenty looks by id into a million.
SINCE = """
WITH RECURSIVE halved AS (
  SELECT min(id) AS low, max(id) + 1 AS high FROM audit_events
  UNION ALL
  SELECT CASE WHEN e.at < :moment THEN e.id + 1 ELSE h.low END,
    CASE WHEN e.at < :moment THEN h.high ELSE (h.low + h.high) / 2 END
  FROM halved h CROSS JOIN LATERAL (
    SELECT id, at FROM audit_events WHERE id >= (h.low + h.high) / 2 ORDER BY id LIMIT 1) e
  WHERE h.low < h.high
)
SELECT coalesce(min(low), 0) FROM halved WHERE low >= high
"""
OUT_OF_STEP = 5000  # so many events other transactions may write before one that began earlier writes its own


async def _first_since(db: AsyncConnection, moment: datetime) -> int:
    """About the id of the first event since then."""
    return int((await db.execute(text(SINCE), {"moment": moment})).scalar_one())


async def _wanted(db: AsyncConnection, wanted: Wanted) -> list[ColumnElement[bool]]:
    c = audit_events.c
    found: list[ColumnElement[bool]] = []
    if wanted.since is not None:
        first = await _first_since(db, wanted.since)
        found += [c.at >= wanted.since, c.id >= first - OUT_OF_STEP]
    if wanted.until is not None:
        first = await _first_since(db, wanted.until)
        found += [c.at < wanted.until, c.id < first + OUT_OF_STEP]
    if wanted.event is not None:
        group = wanted.event + "."
        meant = [name for name in await names(db) if name == wanted.event or name.startswith(group)]
        rare = [c.event != COMMONEST] if COMMONEST not in meant else []  # says that the index will do
        found += [c.event.in_(meant), *rare]
    if wanted.user_id is not None:
        found.append(c.user_id == wanted.user_id)
    if wanted.client_id is not None:
        found.append(c.client_id == wanted.client_id)
    if wanted.by is not None:
        found.append(c.actor == wanted.by if wanted.by in asking.KINDS else c.actor_id == wanted.by)
    return found


async def emails(db: AsyncConnection, user_ids: set[str]) -> dict[str, str]:
    """Whose ids these are, as far as they still have an account."""
    rows = await db.execute(select(users.c.id, users.c.email).where(users.c.id.in_(user_ids)))
    return {row.id: row.email for row in rows}


async def newest(db: AsyncConnection, wanted: Wanted, *, before: int | None = None, limit: int = 50) -> list[Event]:
    """A page of the log, newest first; the next page is `before` the last id of this one."""
    await plan_anew(db)
    c = audit_events.c
    older = [] if before is None else [c.id < before]
    found = select(audit_events).where(*await _wanted(db, wanted), *older).order_by(c.id.desc()).limit(limit)
    return [Event(**row._mapping) for row in await db.execute(found)]


async def oldest(db: AsyncConnection, wanted: Wanted, *, after: int = 0, limit: int = BATCH) -> list[Event]:
    """For exports: in the order in which it happened, from the id behind `after` on."""
    c = audit_events.c
    found = select(audit_events).where(*await _wanted(db, wanted), c.id > after).order_by(c.id).limit(limit)
    return [Event(**row._mapping) for row in await db.execute(found)]
