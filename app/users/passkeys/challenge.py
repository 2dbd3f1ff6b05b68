"""The challenge of a ceremony (WebAuthn §13.4.3): sealed for one use, one browser and one user, so that none is stored; good once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app.replay import first_use
from app.tokens.secrets import Unsealable, b64, unb64
from app.world import World

LIFETIME = {"sign in": timedelta(minutes=30), "register": timedelta(minutes=10)}


def new(world: World, use: str, cookie: str, whose: str, now: datetime) -> str:
    """In base64url. `whose` is the user's id and session, or empty while nobody is known."""
    ends = int((now + LIFETIME[use]).timestamp()).to_bytes(8, "big")
    return b64(world.secrets.sign_in.seal(ends, _context(use, cookie, whose)))


async def used(world: World, challenge: str, use: str, cookie: str, whose: str, now: datetime) -> bytes | None:
    """The bytes that the authenticator must have signed; None when it is not ours, too old, or was used before."""
    try:
        raw = unb64(challenge)
        ends = int.from_bytes(world.secrets.sign_in.open(raw, _context(use, cookie, whose)), "big")
    except (Unsealable, ValueError):
        return None
    expires_at = datetime.fromtimestamp(ends, UTC)
    once = {"made_at": expires_at - LIFETIME[use], "epoch": world.epoch}
    if now >= expires_at or not await first_use(world.pool, "passkey", use, challenge, now, expires_at, **once):
        return None
    return raw


def _context(use: str, cookie: str, whose: str) -> bytes:
    return "\0".join(("passkey", use, cookie, whose)).encode()
