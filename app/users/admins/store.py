"""SQL of the admins: one of them stays, and who acts as one is one until the transaction ends."""

from __future__ import annotations

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.tables import users

ONE_ADMIN_AT_A_TIME = 0x67617465 + 3
# Than `u`, and one with a way in: who was only ever invited to choose a password may never do it, or have a wrong address.
ANOTHER_ADMIN = """
EXISTS (SELECT FROM users o WHERE o.is_admin AND o.disabled_at IS NULL AND o.id <> u.id AND (
  o.email_verified_at IS NOT NULL OR EXISTS (SELECT FROM passwords p WHERE p.user_id = o.id)
  OR EXISTS (SELECT FROM passkeys k WHERE k.user_id = o.id)
  OR EXISTS (SELECT FROM identities i WHERE i.user_id = o.id AND i.signs_in_since IS NOT NULL)))
"""


async def keep_an_admin(db: AsyncConnection) -> None:
    """Whoever ends, disables or demotes an admin takes turns, until their transactions end: two who each see the other
    would leave nobody."""
    await db.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ONE_ADMIN_AT_A_TIME})


async def is_admin_still(db: AsyncConnection, user_id: str) -> bool:
    """Whether they are an admin who may sign in; and it stays so until this transaction has ended."""
    c = users.c
    found = select(c.id).where(c.id == user_id, c.is_admin, c.disabled_at.is_(None)).with_for_update(read=True)
    return (await db.execute(found)).first() is not None
