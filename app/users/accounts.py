"""Making accounts and one-time links, for the set-up page, the command line and the admins alike."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from app import audit
from app.tokens.secrets import LINK, fingerprint, new_id, new_secret
from app.tokens.store import revoke
from app.users import handed_out, store
from app.users.devices import store as devices

LINK_LIFETIME = timedelta(hours=24)
MAILED = {  # how long a link that goes by mail works
    "password": timedelta(hours=1),
    "login": timedelta(minutes=15),
    "sign_up": timedelta(hours=24),
    "email": timedelta(hours=24),
}


def shown_name(text: str, email: str) -> str:
    """A name without control characters, at most 100 characters; the local part of the e-mail when there is none."""
    return "".join(c for c in text if c.isprintable()).strip()[:100] or email.split("@")[0]


async def create(
    db: AsyncConnection,
    email: str,
    name: str,
    hashed: str | None,
    now: datetime,
    *,
    is_admin: bool,
    is_verified: bool = False,
    via: str = "operator",
) -> store.User | None:
    """Adds an account in the caller's transaction; None when the e-mail is taken. `hashed` is the Argon2id hash.

    `is_verified` says that a link came to this address by mail; `via` is for the audit log.
    """
    user = store.User(
        id=new_id("usr"),
        email=email,
        name=shown_name(name, email),
        is_admin=is_admin,
        created_at=now,
        disabled_at=None,
        email_verified_at=now if is_verified else None,
    )
    if not await store.add_user(db, user):
        return None
    if hashed is not None:
        await store.set_password(db, user.id, hashed, now)
    await audit.record(db, "user.created", now, user_id=user.id, email=email, admin=is_admin, via=via)
    return user


async def change_password(db: AsyncConnection, user_id: str, hashed: str, now: datetime) -> None:
    """The new password; every browser is signed out and forgotten, and no link that is on its way works any more."""
    await store.hold(db, user_id)
    await store.set_password(db, user_id, hashed, now)
    await store.sign_out_everywhere(db, user_id)
    await devices.forget(db, user_id)
    await store.end_links(db, user_id)
    await audit.record(db, "password.changed", now, user_id=user_id)


async def disable(db: AsyncConnection, email: str, now: datetime, *, lifetime: timedelta) -> str | None:
    """Nobody signs in, refreshes or calls in this name any more; tokens end within a second. Returns the user's id."""
    user_id = await store.set_disabled(db, email, now)
    if user_id is not None:
        await store.sign_out_everywhere(db, user_id)
        await handed_out.end(db, user_id, now)
        await revoke(db, [user_id], now, lifetime=lifetime, comes_back=True)
        await audit.record(db, "user.disabled", now, user_id=user_id)
    return user_id


async def change_email(db: AsyncConnection, user_id: str, email: str, now: datetime, *, is_verified: bool) -> bool:
    """Another address to sign in with and to write to; False when somebody else has it."""
    if not await store.set_email(db, user_id, email, now if is_verified else None):
        return False
    await store.end_links(db, user_id)
    await audit.record(db, "email.changed", now, user_id=user_id, email=email, verified=is_verified)
    return True


async def new_link(
    db: AsyncConnection, purpose: str, user_id: str | None, now: datetime, *, by: str | None = None
) -> str:
    """The code of a link for `setup` or `password` that a person hands over; it works once, for LINK_LIFETIME.

    `by` is the admin who makes it, absent for the operator.
    """
    code = new_secret(LINK)
    await store.add_link(db, fingerprint(code), store.Link(purpose, user_id, made_by=by), now, now + LINK_LIFETIME)
    await audit.record(db, "link.made", now, user_id=user_id, purpose=purpose)
    return code


async def mailed_link(db: AsyncConnection, link: store.Link, now: datetime) -> str:
    """The code of a link that goes by mail, and nowhere else: whoever uses it has opened that mailbox."""
    code = new_secret(LINK)
    await store.add_link(db, fingerprint(code), link, now, now + MAILED[link.purpose])
    return code
