"""Invitations and links for others, as an admin handed them out: what nobody has used yet ends with that admin's rights."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from app import audit
from app.users import store
from app.users.invitations import store as invitations


async def end(db: AsyncConnection, user_id: str, now: datetime, *, only_admins: bool = False) -> None:
    """In the transaction that takes the rights away, after their row is changed or held: then nobody adds to it meanwhile.

    `only_admins`: of the invitations those that make an admin; somebody who is demoted may well have invited colleagues.
    """
    for gone in await invitations.remove_of(db, user_id, only_admins=only_admins):
        await audit.record(db, "invitation.revoked", now, email=gone.email)
    await store.end_links_made_by(db, user_id)
