"""Deleting an account: everything of this person goes, their tokens within a second; the log keeps no personal data."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from app import audit
from app.metering.store import budgets_of, forget_charges
from app.tokens.store import revoke
from app.traces.store import forget_user
from app.users import handed_out, store


async def remove(db: AsyncConnection, user_id: str, by: str, now: datetime, *, lifetime: timedelta) -> bool:
    """In the caller's transaction; `by` is the id of whoever does it, `lifetime` that of an access token. False, and nothing
    has changed, for the last admin who may sign in and for nobody."""
    owned = await store.clients_owned_by(db, user_id)
    spent_from = await budgets_of(db, user_id)
    async with db.begin_nested() as so_far:
        await store.hold_whole(db, user_id)
        await handed_out.end(db, user_id, now)  # before the row goes, with which it is forgotten whose they are
        email = await store.remove_user(db, user_id)
        if email is None:
            await so_far.rollback()
    if email is None:
        return False
    await revoke(db, [user_id, *owned], now, lifetime=lifetime)
    await forget_user(db, user_id)
    await forget_charges(db, spent_from)
    await audit.forget_person(db, user_id, email)
    await audit.record(db, "user.deleted", now, by="its owner" if by == user_id else by)
    return True
