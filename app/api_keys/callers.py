"""From a bearer token to the principal it stands for: an access token or an API key (RFC 6750 §2.1)."""

from __future__ import annotations

from datetime import datetime

from app.api_keys import store
from app.http import bearer
from app.protocol.errors import InvalidToken, TemporarilyUnavailable
from app.protocol.scope import expanded
from app.protocol.types import Principal
from app.tokens.secrets import API_KEY, fingerprint
from app.world import World

KEY_SECONDS = 60  # how long an API key is not looked up again; its revocation is heard of at once all the same


class Callers:
    """Who is calling. Once per process; nothing is remembered here."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._staleness = world.settings.revocation_staleness

    async def principal(self, credentials: list[bytes], now: datetime) -> Principal:
        """The caller, from every value of the Authorization header. Raises NoToken, InvalidToken, InvalidRequest;
        TemporarilyUnavailable when nobody has said for too long what is revoked."""
        token = bearer(credentials)
        revocations = self._world.live.revocations
        if revocations.is_stale(now.timestamp(), self._staleness):
            raise TemporarilyUnavailable("revocations are not known at the moment", retry_after=1)
        found = await self._recognised(token, now)
        if revocations.covers(found):
            raise InvalidToken("the access token was revoked")
        return found

    def note(self, principal: Principal, now: datetime) -> None:
        """That a connection or an API key was used; written later."""
        if principal.connection_id is not None:
            self._world.last_used.saw("connections", principal.connection_id, now)
        elif principal.via == "api_key":
            self._world.last_used.saw("api_keys", principal.client_id, now)

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
            revocable_since=seen,
        )
