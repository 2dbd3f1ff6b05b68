"""What the browser is asked for: the options of the two ceremonies, as the page carries them (WebAuthn §5.4, §5.5).

Every passkey is discoverable and verifies its user, so it needs no e-mail: the sign-in page is the same for everybody, and
tells nobody who has an account (WebAuthn §14.6.2).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from app.protocol.types import Viewer
from app.settings.read import Settings
from app.tokens.secrets import b64
from app.users.passkeys import challenge, store
from app.world import World

ALGORITHMS = (-8, -7, -257)  # EdDSA, ES256, RS256: what every authenticator has one of
PATIENCE = 300_000  # milliseconds for the person to find their key


@dataclass(frozen=True, slots=True)
class Asked:
    """For the page: the options in JSON, the origin at which they work, the challenge to be sent back."""

    options: str
    origin: str
    challenge: str


def relying_party(settings: Settings) -> str | None:
    """The RP ID: the host of the public URL. None where it is a bare address, for which there are no passkeys (§4)."""
    host = urlsplit(settings.public_url).hostname or ""
    try:
        ip_address(host)
    except ValueError:
        return host
    return None


def whose(viewer: Viewer) -> str:
    """A ceremony to register belongs to one user in one session."""
    return f"{viewer.user_id} {viewer.session_id}"


async def to_sign_in(world: World, cookie: str, user_id: str | None, now: datetime) -> Asked | None:
    """For anybody; or, to confirm that it is still this user, for their own passkeys. None where there are none to ask for."""
    allowed = []
    if user_id is not None:
        async with world.db.connect() as db:
            allowed = await store.passkeys_of(db, user_id)
        if not allowed:
            return None
    asks = {"userVerification": "required", "allowCredentials": [_descriptor(known) for known in allowed]}
    return _asked(world, "sign in", cookie, "", asks, now)


async def to_register(world: World, cookie: str, viewer: Viewer, now: datetime) -> Asked | None:
    """For somebody who signed in a moment ago; what they have already is not made twice. None when they have enough."""
    async with world.db.connect() as db:
        known = await store.passkeys_of(db, viewer.user_id)
    if len(known) >= store.MOST:
        return None
    asks = {
        "rp": {"name": "Gatehouse", "id": relying_party(world.settings)},
        "user": {"id": b64(viewer.user_id.encode()), "name": viewer.email, "displayName": viewer.name or viewer.email},
        "pubKeyCredParams": [{"type": "public-key", "alg": number} for number in ALGORITHMS],
        "excludeCredentials": [_descriptor(passkey) for passkey in known],
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": True,
            "userVerification": "required",
        },
        "attestation": "none",
    }
    return _asked(world, "register", cookie, whose(viewer), asks, now)


def _asked(world: World, use: str, cookie: str, owner: str, asks: dict[str, Any], now: datetime) -> Asked | None:
    host = relying_party(world.settings)
    if host is None:
        return None
    fresh = challenge.new(world, use, cookie, owner, now)
    common = {"challenge": fresh, "timeout": PATIENCE, **({"rpId": host} if use == "sign in" else {})}
    return Asked(json.dumps(common | asks), world.settings.issuer, fresh)


def _descriptor(passkey: store.Passkey) -> dict[str, Any]:
    return {"type": "public-key", "id": b64(passkey.credential_id), "transports": list(passkey.transports)}
