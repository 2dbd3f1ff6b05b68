"""SQL of the invitations that are open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.tables import invitations

i = invitations.c
SHOWN = (i.id, i.email, i.is_admin, i.mailed, i.invited_by, i.created_at, i.expires_at)


@dataclass(frozen=True, slots=True)
class Invitation:
    """`mailed`: its link went to the address and nowhere else. `invited_by` is absent when the operator did it."""

    id: str
    email: str
    is_admin: bool
    mailed: bool
    invited_by: str | None
    created_at: datetime
    expires_at: datetime


async def put(db: AsyncConnection, invitation: Invitation, key: bytes) -> Invitation:
    """A new one, in place of the one that this address may have; as it is now, with the id it had."""
    values = {name: getattr(invitation, name) for name in Invitation.__slots__} | {"fingerprint": key}
    statement = upsert(invitations).values(**values)
    statement = statement.on_conflict_do_update(
        index_elements=["email"], set_={name: statement.excluded[name] for name in values if name != "id"}
    )
    return Invitation(*(await db.execute(statement.returning(*SHOWN))).one())


async def renew(
    db: AsyncConnection,
    identifier: str,
    key: bytes,
    now: datetime,
    expires_at: datetime,
    *,
    mailed: bool,
    by: str | None,
) -> Invitation | None:
    """Another link for the same invitation, which is from then on that of whoever holds the link; the one before ends."""
    changed = update(invitations).where(i.id == identifier)
    changed = changed.values(fingerprint=key, created_at=now, expires_at=expires_at, mailed=mailed, invited_by=by)
    row = (await db.execute(changed.returning(*SHOWN))).one_or_none()
    return None if row is None else Invitation(*row)


async def find(db: AsyncConnection, key: bytes, now: datetime) -> Invitation | None:
    row = (await db.execute(select(*SHOWN).where(i.fingerprint == key, i.expires_at > now))).one_or_none()
    return None if row is None else Invitation(*row)


async def consume(db: AsyncConnection, key: bytes, now: datetime) -> Invitation | None:
    """For the one request that accepts it."""
    gone = delete(invitations).where(i.fingerprint == key, i.expires_at > now)
    row = (await db.execute(gone.returning(*SHOWN))).one_or_none()
    return None if row is None else Invitation(*row)


async def remove(db: AsyncConnection, identifier: str) -> Invitation | None:
    row = (await db.execute(delete(invitations).where(i.id == identifier).returning(*SHOWN))).one_or_none()
    return None if row is None else Invitation(*row)


async def remove_of(db: AsyncConnection, user_id: str, *, only_admins: bool) -> list[Invitation]:
    """What this user invited to, or of that what makes an admin."""
    gone = delete(invitations).where(i.invited_by == user_id)
    if only_admins:
        gone = gone.where(i.is_admin)
    return [Invitation(*row) for row in await db.execute(gone.returning(*SHOWN))]


async def page(db: AsyncConnection, *, before: tuple[datetime, str] | None = None, limit: int = 50) -> list[Invitation]:
    """The newest first; the next page is `before` the `created_at` and id of the last one. Those that expired are there
    for a month, to be sent again."""
    found = select(*SHOWN).order_by(i.created_at.desc(), i.id.desc()).limit(limit)
    if before is not None:
        found = found.where(tuple_(i.created_at, i.id) < tuple_(*before))
    return [Invitation(*row) for row in await db.execute(found)]


async def by_email(db: AsyncConnection, email: str) -> Invitation | None:
    row = (await db.execute(select(*SHOWN).where(i.email == email))).one_or_none()
    return None if row is None else Invitation(*row)
