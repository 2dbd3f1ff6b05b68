"""SQL of projects and agents' sessions: a solved challenge becomes a session, with its budget, by one statement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.engine import HotPool
from app.db.tables import agent_projects, agent_sessions


@dataclass(frozen=True, slots=True)
class Project:
    """`public_key` is what agents send as `X-LW-Public`. `allowance_sats`: a day, for work; `session_sats`: what a session
    costs by Lightning, and is worth."""

    id: str
    public_key: str
    name: str
    scope: tuple[str, ...]
    allowance_sats: int
    session_sats: int
    max_calls_per_minute: int
    bits_floor: int
    bits_ceiling: int
    created_at: datetime
    revoked_at: datetime | None = None
    paused_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """`id` is also the budget's. `kind`: pow, lightning, or paid (at a 402). `project_id` is absent where none was named."""

    id: str
    project_id: str | None
    kind: str
    scope: tuple[str, ...]
    resource: str
    jkt: str | None
    created_at: datetime
    expires_at: datetime
    refresh_counter: int = 0

    @property
    def subject(self) -> str:
        """`sub` of its tokens, as the seed spells it."""
        return f"mcp:{self.project_id or 'none'}:{self.id}"


def _project(row: Any) -> Project:
    return Project(**{name: row[name] for name in Project.__slots__} | {"scope": tuple(row["scope"])})


def _session(row: Any) -> Session:
    return Session(**{name: row[name] for name in Session.__slots__} | {"scope": tuple(row["scope"])})


CHANGEABLE = (
    "name",
    "scope",
    "allowance_sats",
    "session_sats",
    "max_calls_per_minute",
    "bits_floor",
    "bits_ceiling",
)
BY_KEY = "SELECT * FROM agent_projects WHERE public_key = $1"
# $1 quote id, $2 public key, $3 now, $4 end of the session, $5 thumbprint of a key, $6 the audience of its tokens.
SOLVED = """
WITH p AS (SELECT * FROM agent_projects WHERE public_key = $2 AND revoked_at IS NULL AND paused_at IS NULL),
s AS (
INSERT INTO agent_sessions (id, project_id, kind, scope, resource, refresh_counter, refreshed_at, jkt, created_at, expires_at)
SELECT $1, p.id, 'pow', p.scope, $6, 0, $3, $5, $3, $4 FROM p
ON CONFLICT (id) DO NOTHING RETURNING *
),
b AS (
INSERT INTO budgets (id, kind, allowance_sats, funded_sats, max_calls_per_minute, day, day_free_sats, day_sats, day_calls,
  last_free_sats, minute, minute_calls, created_at, expires_at)
SELECT s.id, 'agent', p.allowance_sats, 0, p.max_calls_per_minute, '-infinity', 0, 0, 0, 0, '-infinity', 0, $3, $4 FROM s, p
)
SELECT s.*, p.allowance_sats FROM s, p
"""
BY_ID = "SELECT * FROM agent_sessions WHERE id = $1"
NOT_PAUSED = "NOT EXISTS (SELECT FROM agent_projects p WHERE p.id = project_id AND p.paused_at IS NOT NULL)"
# The plain refresh: the token goes on being good. Shortly after a rotation the one before it still is.
REFRESHED = f"""
SELECT * FROM agent_sessions WHERE id = $1 AND ended_at IS NULL AND expires_at > $3 AND {NOT_PAUSED}
  AND (refresh_counter = $2 OR (refresh_counter = $2 + 1 AND refreshed_at > $3::timestamptz - $4::interval))
"""
# The rotating one; within the grace the same successor is given again.
ROTATED = f"""
UPDATE agent_sessions SET refresh_counter = $2 + 1,
  refreshed_at = CASE WHEN refresh_counter = $2 THEN $3 ELSE refreshed_at END
WHERE id = $1 AND ended_at IS NULL AND expires_at > $3 AND {NOT_PAUSED}
  AND (refresh_counter = $2 OR (refresh_counter = $2 + 1 AND refreshed_at > $3::timestamptz - $4::interval))
RETURNING *
"""
REUSED = """
UPDATE agent_sessions SET ended_at = :now WHERE id = :id AND ended_at IS NULL AND refresh_counter > :counter RETURNING *
"""
END_ALL = "UPDATE agent_sessions SET ended_at = :now WHERE project_id = :project AND ended_at IS NULL RETURNING id"


async def project_of(pool: HotPool, public_key: str) -> Project | None:
    """A revoked one too."""
    row = await pool.fetchrow(BY_KEY, public_key)
    return None if row is None else _project(row)


async def solved(
    pool: HotPool, quote_id: str, public_key: str, now: datetime, expires_at: datetime, jkt: str | None, resource: str
) -> tuple[Session, int] | None:
    """The session that this challenge became, and its allowance; None when it was used before, or the project is gone."""
    row = await pool.fetchrow(SOLVED, quote_id, public_key, now, expires_at, jkt, resource)
    return None if row is None else (_session(row), row["allowance_sats"])


async def add_session(db: AsyncConnection, session: Session, payment_hash: bytes | None) -> bool:
    """False when there is one of this id."""
    values = {name: getattr(session, name) for name in Session.__slots__} | {"scope": list(session.scope)}
    added = upsert(agent_sessions).values(**values, refreshed_at=session.created_at, payment_hash=payment_hash)
    return (await db.execute(added.on_conflict_do_nothing().returning(agent_sessions.c.id))).first() is not None


async def session_of(pool: HotPool, session_id: str) -> Session | None:
    row = await pool.fetchrow(BY_ID, session_id)
    return None if row is None else _session(row)


async def refreshed(
    pool: HotPool, session_id: str, counter: int, now: datetime, *, rotate: bool, grace: timedelta
) -> Session | None:
    row = await pool.fetchrow(ROTATED if rotate else REFRESHED, session_id, counter, now, grace)
    return None if row is None else _session(row)


async def end_if_reused(db: AsyncConnection, session_id: str, counter: int, now: datetime) -> Session | None:
    """The session that ended, since a token came that was rotated away."""
    row = (await db.execute(text(REUSED), {"id": session_id, "counter": counter, "now": now})).mappings().first()
    return None if row is None else _session(row)


async def add_project(db: AsyncConnection, project: Project) -> bool:
    """False when another has this name."""
    values = {name: getattr(project, name) for name in Project.__slots__} | {"scope": list(project.scope)}
    added = upsert(agent_projects).values(**values).on_conflict_do_nothing().returning(agent_projects.c.id)
    return (await db.execute(added)).first() is not None


async def projects(db: AsyncConnection) -> list[Project]:
    found = select(agent_projects).order_by(agent_projects.c.created_at)
    return [_project(row) for row in (await db.execute(found)).mappings()]


async def project_by_id(db: AsyncConnection, project_id: str) -> Project | None:
    """A revoked one too."""
    found = select(agent_projects).where(agent_projects.c.id == project_id)
    row = (await db.execute(found)).mappings().first()
    return None if row is None else _project(row)


async def change_project(db: AsyncConnection, project: Project) -> bool:
    """What new sessions get; those that there are keep what they have. False when another project has this name."""
    values = {name: getattr(project, name) for name in CHANGEABLE} | {"scope": list(project.scope)}
    c, other = agent_projects.c, agent_projects.alias()
    taken = select(other.c.id).where(other.c.name == project.name, other.c.id != project.id).exists()
    changed = update(agent_projects).where(c.id == project.id, c.revoked_at.is_(None), ~taken).values(**values)
    return (await db.execute(changed)).rowcount == 1


async def pause_project(db: AsyncConnection, name: str, paused_at: datetime | None) -> str | None:
    """By id or name; `paused_at` None lets it go on. Its id, or None when none such is in the other state."""
    c = agent_projects.c
    before = c.paused_at.is_(None) if paused_at else c.paused_at.is_not(None)
    changed = update(agent_projects).where((c.id == name) | (c.name == name), c.revoked_at.is_(None), before)
    paused: str | None = (await db.execute(changed.values(paused_at=paused_at).returning(c.id))).scalar()
    return paused


async def revoke_project(db: AsyncConnection, name: str, now: datetime) -> tuple[str, list[str]] | None:
    """Its id, and those of the sessions that ended with it; None when no living one is called so."""
    c = agent_projects.c
    ended = update(agent_projects).where((c.id == name) | (c.name == name), c.revoked_at.is_(None))
    project = (await db.execute(ended.values(revoked_at=now).returning(c.id))).scalar()
    if project is None:
        return None
    rows = await db.execute(text(END_ALL), {"project": project, "now": now})
    return project, [row[0] for row in rows]
