"""The signing keys for admins: which signs, which verifies and until when; new ones at a press of a button (RFC 7517)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.tokens.rotate import rotate
from app.world import World


@dataclass(frozen=True, slots=True)
class Key:
    """What may be shown of a key. `state`: upcoming, signing, verifying, gone."""

    kid: str
    algorithm: str
    state: str
    created_at: datetime
    signs_from: datetime
    verifies_until: datetime | None


def keys(world: World, now: datetime) -> list[Key]:
    """Newest first, as this process has them."""
    ring = world.live.ring
    found = [
        Key(key.kid, key.algorithm, ring.state(key, now), key.created_at, key.signs_from, key.verifies_until)
        for key in ring.keys
    ]
    return sorted(found, key=lambda key: (key.signs_from, key.algorithm), reverse=True)


async def publish(world: World, now: datetime, *, at_once: bool = False) -> list[str]:
    """New keys, which sign once every cache has them; with `at_once` now, for a leaked key. Their kids."""
    made = await rotate(world.db, world.secrets.signing_keys, now, lifetime=world.token_lifetime, at_once=at_once)
    await world.live.load_keys()
    return [key.kid for key in made]
