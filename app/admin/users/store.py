"""SQL of the users, for admins: searched and paged, promoted, demoted, disabled, what they have."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.prefix import begins, plan_anew
from app.db.tables import api_keys, browser_sessions, connections, metadata, users
from app.users.admins.store import ANOTHER_ADMIN, keep_an_admin
from app.web.paging import PAGE, Place

MANY = 1000  # past it nobody counts: "1000 or more"


@dataclass(frozen=True, slots=True)
class Person:
    """An account, for admins."""

    id: str
    email: str
    name: str
    is_admin: bool
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Browser:
    """Where somebody is signed in."""

    id: str
    user_agent: str
    address: str
    created_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class Belongings:
    """What hangs from an account. Counts end at MANY; `factors` are kinds of proof: password, passkey, totp."""

    connections: int
    api_keys: int
    factors: tuple[str, ...]
    browsers: tuple[Browser, ...]


SHOWN = [users.c[name] for name in Person.__slots__]
# Each kind of proof, and the table that has a row of who has it. Tables that are not there count as empty.
FACTORS = {"password": "passwords", "passkey": "passkeys", "totp": "totp"}


async def page_of(db: AsyncConnection, words: str | None, kind: str | None, place: Place | None) -> list[Person]:
    """Newest first, up to one more than a page; whose e-mail or name begins with `words`; `kind`: admins, disabled."""
    c = users.c
    found = select(*SHOWN)
    if words is not None:
        await plan_anew(db)
        found = found.where(or_(begins(c.email, words.lower()), begins(func.lower(c.name), words.lower())))
    if kind == "admins":
        found = found.where(c.is_admin)
    elif kind == "disabled":
        found = found.where(c.disabled_at.is_not(None))
    if place is not None:
        found = found.where(tuple_(c.created_at, c.id) < tuple_(place.at, *place.names))
    found = found.order_by(c.created_at.desc(), c.id.desc()).limit(PAGE + 1)
    return [Person(*row) for row in await db.execute(found)]


async def person(db: AsyncConnection, user_id: str) -> Person | None:
    row = (await db.execute(select(*SHOWN).where(users.c.id == user_id))).one_or_none()
    return None if row is None else Person(*row)


async def belongings(db: AsyncConnection, user_id: str, now: datetime) -> Belongings:
    c, k, s = connections.c, api_keys.c, browser_sessions.c
    held = select(c.id).where(c.user_id == user_id, c.revoked_at.is_(None), c.expires_at > now).limit(MANY)
    keys = select(k.id).where(k.user_id == user_id, k.revoked_at.is_(None)).limit(MANY)
    seen = select(s.id, s.user_agent, s.address, s.created_at, s.last_seen_at)
    seen = seen.where(s.user_id == user_id, s.expires_at > now).order_by(s.last_seen_at.desc()).limit(PAGE)
    counts = select(
        select(func.count()).select_from(held.subquery()).scalar_subquery(),
        select(func.count()).select_from(keys.subquery()).scalar_subquery(),
    )
    row = (await db.execute(counts)).one()
    browsers = tuple(Browser(*line) for line in await db.execute(seen))
    return Belongings(row[0], row[1], await factors(db, user_id), browsers)


async def factors(db: AsyncConnection, user_id: str) -> tuple[str, ...]:
    """What this user can prove themselves with."""
    held = []
    for kind, name in FACTORS.items():
        table = metadata.tables.get(name)
        if table is not None:
            found = select(table.c.user_id).where(table.c.user_id == user_id).limit(1)
            held += [kind] if (await db.execute(found)).first() else []
    return tuple(held)


# Of the last admin who may sign in nothing is changed.
DEMOTE = f"UPDATE users u SET is_admin = false WHERE id = :id AND is_admin AND {ANOTHER_ADMIN}"
DISABLE = f"""
UPDATE users u SET disabled_at = :now WHERE id = :id AND disabled_at IS NULL AND (NOT is_admin OR {ANOTHER_ADMIN})
"""


async def demote(db: AsyncConnection, user_id: str) -> bool:
    """True for the one caller that takes an admin's rights away, if another admin is left."""
    await keep_an_admin(db)
    return (await db.execute(text(DEMOTE), {"id": user_id})).rowcount == 1


async def promote(db: AsyncConnection, user_id: str) -> bool:
    """True for the one caller that makes somebody an admin who was none."""
    c = users.c
    made = update(users).where(c.id == user_id, c.is_admin.is_(False), c.disabled_at.is_(None)).values(is_admin=True)
    return (await db.execute(made)).rowcount == 1


async def disable(db: AsyncConnection, user_id: str, now: datetime) -> bool:
    """True for the one caller that disables somebody, if an admin is left."""
    await keep_an_admin(db)
    return (await db.execute(text(DISABLE), {"id": user_id, "now": now})).rowcount == 1


async def enable(db: AsyncConnection, user_id: str) -> bool:
    """True for the one caller that lets somebody in again."""
    c = users.c
    again = update(users).where(c.id == user_id, c.disabled_at.is_not(None)).values(disabled_at=None)
    return (await db.execute(again)).rowcount == 1
