"""SQL of the overview: the numbers that matter, and what the checklist asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.tables import api_keys, audit_events, clients, connections, metadata, users

BACKUP = "backup.confirmed"  # the event by which an admin says that there is one
MANY = 10_000  # past it nobody counts: "10000 or more"
LATE = timedelta(minutes=10)  # the sweep comes every minute


@dataclass(frozen=True, slots=True)
class Numbers:
    """Counted as far as MANY; `calls_today` is absent where calls are not counted."""

    users: int
    admins: int
    apps: int
    connections: int
    api_keys: int
    calls_today: int | None


async def numbers(db: AsyncConnection, now: datetime) -> Numbers:
    c, u = connections.c, users.c
    lists = (
        select(u.id).where(u.disabled_at.is_(None)),
        select(u.id).where(u.disabled_at.is_(None), u.is_admin),
        select(clients.c.client_id).where(clients.c.revoked_at.is_(None)),
        select(c.id).where(c.revoked_at.is_(None), c.expires_at > now),
        select(api_keys.c.id).where(api_keys.c.revoked_at.is_(None)),
    )
    counts = [select(func.count()).select_from(rows.limit(MANY).subquery()).scalar_subquery() for rows in lists]
    row = (await db.execute(select(*counts))).one()
    return Numbers(row[0], row[1], row[2], row[3], row[4], await _calls(db, now.date()))


async def _calls(db: AsyncConnection, day: date) -> int | None:
    calls = metadata.tables.get("tool_calls")
    if calls is None:
        return None
    found = select(func.coalesce(func.sum(calls.c.calls), 0)).where(calls.c.day == day)
    return int((await db.execute(found)).scalar_one())


async def was_connected(db: AsyncConnection) -> bool:
    """Whether an app was ever connected, as far as is known."""
    return (await db.execute(select(connections.c.id).limit(1))).first() is not None


async def backup_at(db: AsyncConnection) -> datetime | None:
    """When an admin last said that there is a backup."""
    c = audit_events.c
    found = select(c.at).where(c.event == BACKUP).order_by(c.id.desc()).limit(1)
    return (await db.execute(found)).scalar()


async def is_swept(db: AsyncConnection, now: datetime) -> bool:
    """False when what expired long ago is still there: no replica sweeps."""
    left = text("SELECT EXISTS (SELECT FROM rate_counters WHERE resets_at < :late)")
    return not (await db.execute(left, {"late": now - LATE})).scalar_one()
