"""The providers as this process has them: those of the settings, those of the admins, and what their issuers publish."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app.outside.fetch import Outside, Unfetchable
from app.outside.key_sets import STALE
from app.protocol.provider import Provider
from app.protocol.provider_definition import BadDefinition, defined
from app.providers import store
from app.providers.published import Published, checked
from app.tokens.secrets import Purpose, Unsealable

LIMIT = 64 * 1024  # bytes of metadata
LOOK_AGAIN = timedelta(seconds=5)  # so long may a replica not know of what an admin has just changed
log = structlog.get_logger("gatehouse.providers")


class Providers:
    """One per process."""

    def __init__(self, given: tuple[Provider, ...], db: AsyncEngine, purpose: Purpose, outside: Outside) -> None:
        self.given = {provider.name: provider for provider in given}
        self._db = db
        self._purpose = purpose
        self._outside = outside
        self._known: tuple[datetime, dict[str, Provider]] | None = None
        self._published: dict[str, tuple[Published, datetime]] = {}

    async def all(self, now: datetime) -> dict[str, Provider]:
        """By name; what the settings say comes before what an admin says."""
        if self._known is None or abs(now - self._known[0]) >= LOOK_AGAIN:
            self._known = now, await self._stored() | self.given
        return self._known[1]

    def look_again(self) -> None:
        self._known = None

    async def named(self, name: str, now: datetime) -> Provider | None:
        return (await self.all(now)).get(name)

    async def to_sign_in(self, now: datetime) -> list[Provider]:
        return [provider for provider in (await self.all(now)).values() if provider.sign_in is not None]

    async def published(self, provider: Provider, now: datetime) -> Published:
        """The metadata of an issuer. Raises Unfetchable."""
        kept = self._published.get(provider.issuer)
        if kept is not None and now < kept[1]:
            return kept[0]
        url = f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration"
        stale = kept is not None and now < kept[1] + STALE
        if kept is not None and stale and self._outside.faults.lately(url, now, private=True):
            return kept[0]
        try:
            document = await self._outside.json(url, limit=LIMIT, private=True)
            found = checked(document.value, provider)
        except Unfetchable as fault:
            self._outside.failed(url, fault, now, private=True)
            if kept is not None and stale:
                return kept[0]
            raise
        self._published[provider.issuer] = found, now + document.kept_for
        return found

    async def _stored(self) -> dict[str, Provider]:
        found = {}
        for one in await store.everything(self._db):
            try:
                found[one.name] = opened(one, self._purpose)
            except (BadDefinition, Unsealable) as fault:
                log.error("provider left out", provider=one.name, why=str(fault))
        return found


def opened(one: store.Stored, purpose: Purpose) -> Provider:
    """Raises BadDefinition and Unsealable."""
    secret = {} if one.sealed is None else {"client_secret": purpose.open(one.sealed, one.name.encode()).decode()}
    return defined(one.name, {**one.definition, **secret})
