"""From a bearer token to the principal it stands for: an access token or an API key, checked once and then remembered (RFC 6750 §2.1)."""

from __future__ import annotations

import hashlib
from datetime import datetime

from app.api_keys import store
from app.protocol.errors import InvalidToken, TemporarilyUnavailable
from app.protocol.scope import expanded
from app.protocol.types import Principal
from app.tokens.secrets import API_KEY, fingerprint
from app.world import World

REMEMBERED = 10_000  # tokens; some 10 MB
KEY_SECONDS = 60  # how long an API key is not looked up again; its revocation is heard of at once all the same


class Callers:
    """Who is calling. Once per process: tokens are remembered by their digest until they expire or are revoked."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._staleness = world.settings.revocation_staleness
        self._known: dict[bytes, Principal] = {}

    async def principal(self, token: str, now: datetime) -> Principal:
        """Raises InvalidToken; TemporarilyUnavailable when nobody has said for too long what is revoked."""
        world, moment = self._world, now.timestamp()
        revocations = world.live.revocations
        if revocations.is_stale(moment, self._staleness):
            raise TemporarilyUnavailable("revocations are not known at the moment", retry_after=1)
        digest = hashlib.blake2b(token.encode("latin-1"), digest_size=32).digest()
        known = self._known.get(digest)
        if known is None or known.expires_at <= moment or revocations.covers(known):
            self._known.pop(digest, None)
            known = await self._recognised(token, now)
            if revocations.covers(known):
                raise InvalidToken("the access token was revoked")
            if len(self._known) >= REMEMBERED:
                del self._known[next(iter(self._known))]  # the one that has been here longest
            self._known[digest] = known
        if known.connection_id is not None:
            world.last_used.saw("connections", known.connection_id, now)
        elif known.via == "api_key":
            world.last_used.saw("api_keys", known.client_id, now)
        return known

    async def _recognised(self, token: str, now: datetime) -> Principal:
        world = self._world
        if token.startswith(API_KEY):
            return await self._by_key(token, now)
        return await world.live.verified(token, world.settings.issuer, world.settings.resource, now)

    async def _by_key(self, api_key: str, now: datetime) -> Principal:
        found = None
        if len(api_key) < 200:
            found = await store.usable(self._world.pool, fingerprint(api_key), self._world.settings.resource, now)
        if found is None:
            raise InvalidToken("the API key is not valid")
        authorization, expires_at = found
        seen = int(now.timestamp())
        return Principal(
            subject=authorization.subject,
            client_id=authorization.client_id,
            scope=expanded(frozenset(authorization.scope)),
            via="api_key",
            issued_at=seen,
            expires_at=min(seen + KEY_SECONDS, int(expires_at.timestamp()) if expires_at else seen + KEY_SECONDS),
            handles=(authorization.client_id, authorization.subject),
            token_id=authorization.client_id,
            connection_id=None,
        )
