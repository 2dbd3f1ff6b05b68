"""SQL of the users, their passwords and their one-time links."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.engine import HotPool
from app.db.tables import browser_sessions, clients, codes, device_codes, one_time_links, passwords, users


@dataclass(frozen=True, slots=True)
class User:
    """An account."""

    id: str
    email: str
    name: str
    is_admin: bool
    created_at: datetime
    disabled_at: datetime | None
    language: str | None = None


LOGIN = """
SELECT u.id, p.hash FROM users u JOIN passwords p ON p.user_id = u.id WHERE u.email = $1 AND u.disabled_at IS NULL
"""


async def login(pool: HotPool, email: str) -> tuple[str, str] | None:
    """The id and the password hash of somebody who may sign in."""
    row = await pool.fetchrow(LOGIN, email)
    return None if row is None else (row["id"], row["hash"])


async def is_empty(db: AsyncConnection) -> bool:
    """True until the owner has been set up."""
    return (await db.execute(select(users.c.id).limit(1))).first() is None


async def by_email(db: AsyncConnection, email: str) -> User | None:
    row = (await db.execute(select(users).where(users.c.email == email))).one_or_none()
    return None if row is None else User(*row)


async def everybody(db: AsyncConnection) -> list[User]:
    return [User(*row) for row in await db.execute(select(users).order_by(users.c.created_at))]


async def add_user(db: AsyncConnection, user: User) -> bool:
    """False when the e-mail is taken."""
    values = {name: getattr(user, name) for name in User.__slots__}
    added = upsert(users).values(**values).on_conflict_do_nothing(index_elements=["email"])
    return (await db.execute(added.returning(users.c.id))).first() is not None


async def set_password(db: AsyncConnection, user_id: str, hashed: str, now: datetime) -> None:
    statement = upsert(passwords).values(user_id=user_id, hash=hashed, changed_at=now)
    await db.execute(
        statement.on_conflict_do_update(
            index_elements=["user_id"],
            set_={"hash": statement.excluded.hash, "changed_at": statement.excluded.changed_at},
        )
    )


async def set_disabled(db: AsyncConnection, email: str, disabled_at: datetime | None) -> str | None:
    """The id of the user, or None when there is none of this e-mail."""
    changed = update(users).where(users.c.email == email).values(disabled_at=disabled_at).returning(users.c.id)
    user_id: str | None = (await db.execute(changed)).scalar()
    return user_id


async def sign_out_everywhere(db: AsyncConnection, user_id: str) -> None:
    await db.execute(delete(browser_sessions).where(browser_sessions.c.user_id == user_id))


async def add_link(
    db: AsyncConnection, key: bytes, purpose: str, user_id: str | None, now: datetime, expires_at: datetime
) -> None:
    """A one-time link; the earlier ones of the same purpose and user end."""
    same_user = one_time_links.c.user_id.is_not_distinct_from(user_id)
    await db.execute(delete(one_time_links).where(one_time_links.c.purpose == purpose, same_user))
    await db.execute(
        insert(one_time_links).values(
            fingerprint=key, purpose=purpose, user_id=user_id, created_at=now, expires_at=expires_at
        )
    )


async def link_owner(db: AsyncConnection, key: bytes, purpose: str, now: datetime) -> tuple[str | None] | None:
    """Whose link this is (nobody's for the set-up), or None when it does not work any more. Uses nothing up."""
    c = one_time_links.c
    found = select(c.user_id).where(c.fingerprint == key, c.purpose == purpose, c.used_at.is_(None), c.expires_at > now)
    row = (await db.execute(found)).one_or_none()
    return None if row is None else (row.user_id,)


async def consume_link(db: AsyncConnection, key: bytes, purpose: str, now: datetime) -> bool:
    """True for the one request that uses it."""
    c = one_time_links.c
    used = update(one_time_links).where(
        c.fingerprint == key, c.purpose == purpose, c.used_at.is_(None), c.expires_at > now
    )
    return (await db.execute(used.values(used_at=now).returning(c.fingerprint))).first() is not None


async def email_of(db: AsyncConnection, user_id: str) -> str:
    email: str = (await db.execute(select(users.c.email).where(users.c.id == user_id))).scalar_one()
    return email


async def set_profile(db: AsyncConnection, user_id: str, name: str, language: str | None) -> None:
    await db.execute(update(users).where(users.c.id == user_id).values(name=name, language=language))


async def clients_owned_by(db: AsyncConnection, user_id: str) -> list[str]:
    """The programs that act in this user's name."""
    return list((await db.execute(select(clients.c.client_id).where(clients.c.owner_id == user_id))).scalars())


ONE_ADMIN_AT_A_TIME = 0x67617465 + 3
REMOVE = """
DELETE FROM users u WHERE id = :id AND (NOT is_admin
  OR EXISTS (SELECT FROM users o WHERE o.is_admin AND o.disabled_at IS NULL AND o.id <> u.id))
"""


async def keep_an_admin(db: AsyncConnection) -> None:
    """Whoever ends, disables or demotes an admin takes turns, until their transactions end: two who each see the other
    would leave nobody."""
    await db.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ONE_ADMIN_AT_A_TIME})


async def remove_user(db: AsyncConnection, user_id: str) -> bool:
    """With all that hangs on it. False when there is none, or no other admin."""
    await keep_an_admin(db)
    if (await db.execute(text(REMOVE), {"id": user_id})).rowcount == 0:
        return False
    for table in (codes, device_codes):  # without a foreign key, since they are written often and live for minutes
        await db.execute(delete(table).where(table.c.user_id == user_id))
    return True
