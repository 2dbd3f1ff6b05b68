"""An API key that is not let in, in the audit log: whose it was and why, not more often than it is news."""

from __future__ import annotations

from datetime import datetime

from app import asking, audit
from app.api_keys import store
from app.tokens.secrets import API_KEY, fingerprint
from app.world import World


async def refused(world: World, api_key: str, now: datetime, *, guess: bool = False) -> None:
    """Each key is recorded once for an address (in six hours and process): a script that has not noticed goes on for days.

    `guess`: also what was never a key, which only an address with limits may do: else strangers would fill the log.
    """
    key = fingerprint(api_key[:200])
    if not world.traces.is_news(f"key refused {key.hex()} {asking.address()}", now):
        return
    known = await store.why_unusable(world.pool, key, now) if api_key.startswith(API_KEY) else None
    if known is not None:
        key_id, owner, why = known
        await audit.add(world.pool, "api_key.refused", now, user_id=owner, key=key_id, because=why)
    elif guess:
        await audit.add(world.pool, "api_key.refused", now, because="unknown")
