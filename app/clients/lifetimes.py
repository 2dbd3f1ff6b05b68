"""How long what a client is given lasts: as the settings say, or as an admin said for this client (RFC 6749 §10.3 and §10.4)."""

from __future__ import annotations

from datetime import timedelta

from app.protocol.types import Client
from app.settings.read import Settings


def access(client: Client, settings: Settings) -> int:
    """Seconds. Never longer than the settings say: that is how long revocations and retired keys are remembered."""
    return min(client.access_lifetime or settings.access_token_lifetime, settings.access_token_lifetime)


def idle(client: Client, settings: Settings) -> timedelta:
    """After which an unused refresh token ends."""
    return timedelta(seconds=client.refresh_idle or settings.refresh_idle)


def absolute(client: Client, settings: Settings) -> timedelta:
    """After which a connection ends, however much it is used."""
    return timedelta(seconds=client.refresh_absolute or settings.refresh_absolute)
