"""Ending anybody's API key, by an admin."""

from __future__ import annotations

from datetime import datetime

from app.api_keys import keys
from app.language.catalogs import N_
from app.protocol.errors import NotFound
from app.world import World


async def end(world: World, key_id: str, now: datetime) -> None:
    """Within a second for the tokens that came of it, too. Raises NotFound."""
    async with world.db.begin() as db:
        ended = await keys.end(db, key_id, None, now, lifetime=world.token_lifetime)
    if not ended:
        raise NotFound(N_("there is no such key"))
