"""Adding, changing and removing a service; what an issuer publishes is looked at before anybody is sent to it (OIDC Discovery §4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app import audit
from app.outside.fetch import Unfetchable
from app.protocol.errors import Conflict, InvalidRequest
from app.protocol.provider import Provider
from app.protocol.provider_definition import BadDefinition, defined
from app.providers import store
from app.providers.live import opened
from app.tokens.secrets import Unsealable
from app.upstream.vault import store as vault
from app.world import World


@dataclass(frozen=True, slots=True)
class Row:
    """A service for admins: whether the settings have it, and how the accounts there are."""

    provider: Provider
    is_given: bool
    callback: str
    connected: int
    broken: int


async def listed(world: World, now: datetime) -> list[Row]:
    world.providers.look_again()
    found = await world.providers.all(now)
    async with world.db.connect() as db:
        health = await vault.health(db)
    return [
        Row(
            provider,
            name in world.providers.given,
            f"{world.settings.issuer}/callback/{name}",
            *health.get(name, (0, 0)),
        )
        for name, provider in sorted(found.items())
    ]


async def save(world: World, name: str, definition: dict[str, Any], secret: str, now: datetime) -> None:
    """`secret` empty leaves the one that there is. Raises InvalidRequest and Conflict."""
    if name in world.providers.given:
        raise Conflict("this service is in the settings; change it there")
    async with world.db.connect() as db:
        before = next((one for one in await store.listed(db) if one.name == name), None)
    purpose = world.secrets.provider_secrets
    try:
        kept = opened(before, purpose).client_secret if before is not None and not secret else secret
        provider = defined(name, {**definition, **({"client_secret": kept} if kept else {})})
        if provider.is_openid:
            await world.providers.published(provider, now)
    except BadDefinition as fault:
        raise InvalidRequest("{faults}", faults="; ".join(fault.faults)) from fault
    except Unsealable as fault:
        raise InvalidRequest("its secret cannot be opened any more; type it again") from fault
    except Unfetchable as fault:
        raise InvalidRequest("what this issuer publishes cannot be had: {why}", why=str(fault)) from fault
    sealed = purpose.seal(secret.encode(), name.encode()) if secret else None
    async with world.db.begin() as db:
        await store.put(db, name, definition, sealed, now)
        await audit.record(db, "provider.saved", now, provider=name, new=before is None)
    world.providers.look_again()


async def remove(world: World, name: str, now: datetime) -> bool:
    """Nobody is sent there any more; what users have connected stays sealed, and is of no use."""
    async with world.db.begin() as db:
        gone = await store.remove(db, name)
        if gone:
            await audit.record(db, "provider.removed", now, provider=name)
    world.providers.look_again()
    return gone
