"""A sign-in between its two steps, sealed for the browser in which the first was taken; nothing is stored."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.tokens.secrets import Unsealable, b64, unb64
from app.world import World

LIFETIME = timedelta(minutes=10)
STEP = b"second step\0"  # what is sealed for one step does not open for another


@dataclass(frozen=True, slots=True)
class Half:
    """Who took the first step, how (`password`, `link`), when, and since when they had the password that they had then."""

    user_id: str
    method: str
    at: datetime
    password_since: datetime | None


def sealed(half: Half, world: World, cookie: str) -> str:
    """`cookie` is the session secret of this browser, signed in or not yet."""
    since = half.password_since and half.password_since.isoformat()
    packed = json.dumps([half.user_id, half.method, half.at.isoformat(), since]).encode()
    return b64(world.secrets.sign_in.seal(packed, STEP + cookie.encode()))


def opened(text: str, world: World, cookie: str, now: datetime) -> Half | None:
    """None for one of another browser, too old, or not ours."""
    try:
        packed = world.secrets.sign_in.open(unb64(text), STEP + cookie.encode())
        user_id, method, at, since = json.loads(packed)
    except (Unsealable, ValueError):
        return None
    half = Half(user_id, method, datetime.fromisoformat(at), since and datetime.fromisoformat(since))
    return half if now - half.at < LIFETIME else None
