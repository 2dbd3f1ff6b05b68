"""SQL of the users, their passwords and their one-time links."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app import audit
from app.db.engine import HotPool
from app.db.tables import browser_sessions, clients, codes, device_codes, one_time_links, passwords, users
from app.users.admins.store import ANOTHER_ADMIN, keep_an_admin


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
    email_verified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """What a password is compared with. `since` names it: a hash may be made anew for the same password."""

    user_id: str
    hash: str
    since: datetime


LOGIN = """
SELECT u.id, p.hash, p.changed_at FROM users u JOIN passwords p ON p.user_id = u.id WHERE u.email = $1 AND u.disabled_at IS NULL
"""


async def login(pool: HotPool, email: str) -> Login | None:
    """Of somebody who may sign in."""
    row = await pool.fetchrow(LOGIN, email)
    return None if row is None else Login(row["id"], row["hash"], row["changed_at"])


HOLD = "SELECT disabled_at IS NULL FROM users WHERE id = :id FOR NO KEY UPDATE"


async def hold(db: AsyncConnection, user_id: str) -> bool:
    """Whether this user may sign in. Who opens a session and who ends them all take turns from here on, until their
    transactions end: a session that is not yet there for others to see could not be ended. Comes before any other lock."""
    return (await db.execute(text(HOLD), {"id": user_id})).scalar() is True


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


async def set_hash(db: AsyncConnection, stored: Login, better: str) -> None:
    """The same password hashed another way, if it is the password still."""
    c = passwords.c
    this = update(passwords).where(c.user_id == stored.user_id, c.hash == stored.hash)
    await db.execute(this.values(hash=better))


async def set_disabled(db: AsyncConnection, email: str, disabled_at: datetime | None) -> str | None:
    """The id of the user, or None when there is none of this e-mail."""
    changed = update(users).where(users.c.email == email).values(disabled_at=disabled_at).returning(users.c.id)
    user_id: str | None = (await db.execute(changed)).scalar()
    return user_id


async def sign_out_everywhere(db: AsyncConnection, user_id: str, *, but: str | None = None) -> None:
    """Ends every session of this user, `but` the one of this id."""
    await hold(db, user_id)
    gone = delete(browser_sessions).where(browser_sessions.c.user_id == user_id)
    await db.execute(gone if but is None else gone.where(browser_sessions.c.id != but))


async def password_of(db: AsyncConnection, user_id: str) -> tuple[str, datetime] | None:
    """The hash, and since when."""
    row = (
        await db.execute(select(passwords.c.hash, passwords.c.changed_at).where(passwords.c.user_id == user_id))
    ).first()
    return None if row is None else (row.hash, row.changed_at)


@dataclass(frozen=True, slots=True)
class Link:
    """A one-time link. `email` is where it went by mail; `req` is what it goes on with, in the browser of `browser`;
    `made_by` is the admin who handed it out."""

    purpose: str
    user_id: str | None = None
    email: str | None = None
    req: str | None = None
    browser: bytes | None = None
    made_by: str | None = None


async def add_link(db: AsyncConnection, key: bytes, link: Link, now: datetime, expires_at: datetime) -> None:
    """The earlier ones of the same purpose and user end, unless it goes by mail: anybody may ask for one of those."""
    c = one_time_links.c
    if link.email is None:
        same_user = c.user_id.is_not_distinct_from(link.user_id)
        await db.execute(delete(one_time_links).where(c.purpose == link.purpose, same_user))
    await db.execute(
        insert(one_time_links).values(
            fingerprint=key,
            purpose=link.purpose,
            user_id=link.user_id,
            created_at=now,
            expires_at=expires_at,
            email=link.email,
            req=link.req,
            browser_fingerprint=link.browser,
            made_by=link.made_by,
        )
    )


# Not for somebody who is disabled; and not when the mailbox it went to is no longer that of the account.
WORKS = """
l.fingerprint = :key AND l.purpose = :purpose AND l.used_at IS NULL AND l.expires_at > :now AND (l.user_id IS NULL OR
  EXISTS (SELECT FROM users u WHERE u.id = l.user_id AND u.disabled_at IS NULL
          AND (l.purpose = 'email' OR l.email IS NULL OR l.email = u.email)))
"""
LINK = "l.purpose, l.user_id, l.email, l.req, l.browser_fingerprint"


async def link(db: AsyncConnection, key: bytes, purpose: str, now: datetime) -> Link | None:
    """None for one that does not work any more. Uses nothing up."""
    found = text(f"SELECT {LINK} FROM one_time_links l WHERE {WORKS}")
    row = (await db.execute(found, {"key": key, "purpose": purpose, "now": now})).one_or_none()
    return None if row is None else Link(*row)


async def set_profile(db: AsyncConnection, user_id: str, name: str, language: str | None) -> None:
    await db.execute(update(users).where(users.c.id == user_id).values(name=name, language=language))


async def clients_owned_by(db: AsyncConnection, user_id: str) -> list[str]:
    """The programs that act in this user's name."""
    return list((await db.execute(select(clients.c.client_id).where(clients.c.owner_id == user_id))).scalars())


REMOVE = f"DELETE FROM users u WHERE id = :id AND (NOT is_admin OR {ANOTHER_ADMIN}) RETURNING u.email"


async def hold_whole(db: AsyncConnection, user_id: str) -> None:
    """Until this transaction ends nobody adds anything to this account, which is about to go."""
    await keep_an_admin(db)
    await db.execute(select(users.c.id).where(users.c.id == user_id).with_for_update())


async def remove_user(db: AsyncConnection, user_id: str) -> str | None:
    """With all that hangs on it; the e-mail it had. None when there is none, or no other admin."""
    await keep_an_admin(db)
    email: str | None = (await db.execute(text(REMOVE), {"id": user_id})).scalar_one_or_none()
    if email is None:
        return None
    for table in (codes, device_codes):  # without a foreign key, since they are written often and live for minutes
        await db.execute(delete(table).where(table.c.user_id == user_id))
    return email


async def consume_link(db: AsyncConnection, key: bytes, purpose: str, now: datetime) -> Link | None:
    """For the one request that uses it; None for everybody else."""
    used = text(f"UPDATE one_time_links l SET used_at = :now WHERE {WORKS} RETURNING {LINK}")
    row = (await db.execute(used, {"key": key, "purpose": purpose, "now": now})).one_or_none()
    if row is None:
        return None
    await audit.record(db, "link.used", now, user_id=row.user_id, purpose=purpose)
    return Link(*row)


async def end_links(db: AsyncConnection, user_id: str) -> None:
    """Whatever links are still on their way to this user."""
    await db.execute(delete(one_time_links).where(one_time_links.c.user_id == user_id))


async def end_links_made_by(db: AsyncConnection, admin_id: str) -> None:
    """What this admin handed out and nobody used."""
    c = one_time_links.c
    await db.execute(delete(one_time_links).where(c.made_by == admin_id, c.used_at.is_(None)))


async def by_id(db: AsyncConnection, user_id: str) -> User | None:
    row = (await db.execute(select(users).where(users.c.id == user_id))).one_or_none()
    return None if row is None else User(*row)


async def set_email_verified(db: AsyncConnection, user_id: str, email: str, now: datetime) -> None:
    """Somebody opened what was sent there."""
    this = update(users).where(users.c.id == user_id, users.c.email == email, users.c.email_verified_at.is_(None))
    await db.execute(this.values(email_verified_at=now))


async def set_email(db: AsyncConnection, user_id: str, email: str, verified_at: datetime | None) -> bool:
    """False when somebody else has it."""
    changed = update(users).where(users.c.id == user_id).values(email=email, email_verified_at=verified_at)
    try:
        async with db.begin_nested():
            return (await db.execute(changed.returning(users.c.id))).first() is not None
    except IntegrityError:
        return False
