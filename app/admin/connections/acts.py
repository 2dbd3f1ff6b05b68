"""Ending connections by an admin: one, all of a user, all with a client. Tokens end within a second (RFC 7009 §2.1)."""

from __future__ import annotations

from datetime import datetime

from app import audit
from app.admin.connections import store
from app.connections.end import end
from app.language.catalogs import N_
from app.protocol.errors import NotFound
from app.tokens.store import revoke
from app.world import World

BECAUSE = "revoked by an admin"
FEW = 1000  # of so many each is named; of more the user or the client is, which voids their other tokens too


async def end_one(world: World, connection_id: str, now: datetime) -> None:
    """Raises NotFound for one that is not open."""
    async with world.db.begin() as db:
        ended = await end(db, connection_id, BECAUSE, now, lifetime=world.token_lifetime)
    if not ended:
        raise NotFound(N_("there is no such open connection"))


async def end_all(world: World, now: datetime, *, user_id: str | None = None, client_id: str | None = None) -> int:
    """Of this user, or with this client; how many there were."""
    async with world.db.begin() as db:
        ended = await store.end_all(db, BECAUSE, now, user_id=user_id, client_id=client_id)
        are_many = len(ended) > FEW
        names = [user_id or client_id or ""] if are_many else ended
        await revoke(db, names, now, lifetime=world.token_lifetime, comes_back=are_many)
        if ended:
            await audit.record(
                db, "connections.revoked", now, user_id=user_id, client_id=client_id, count=len(ended), because=BECAUSE
            )
    return len(ended)
