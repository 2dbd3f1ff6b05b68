"""From a token to the principal it stands for: an access token, bound to a key or not, or an API key (RFC 6750 §2.1, RFC 9449 §7)."""

from __future__ import annotations

from datetime import datetime

from starlette.requests import Request

from app import asking
from app.api_keys import store
from app.api_keys.refused import refused
from app.protocol.challenge import DPOP
from app.protocol.errors import InvalidToken, TemporarilyUnavailable
from app.protocol.scope import expanded
from app.protocol.types import Principal
from app.resources.model import Resource
from app.tokens.secrets import API_KEY
from app.web import dpop
from app.web.http import bearer, token_of
from app.world import World

KEY_SECONDS = 60  # how long an API key is not looked up again; its revocation is heard of at once all the same


class Callers:
    """Who is calling. Once per process; nothing is remembered here."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._staleness = world.settings.revocation_staleness

    async def principal(self, request: Request, now: datetime) -> Principal:
        """Who sends this request. Raises what `recognised` and `prove` raise."""
        credentials = [value.encode("latin-1") for value in request.headers.getlist("authorization")]
        found = await self.recognised(credentials, None, now)
        if found.jkt is not None:
            proofs, host = request.headers.getlist("dpop"), request.headers.get("host", "")
            await self.prove(found, credentials[0], proofs, request.method, host, request.scope["path"], now)
        asking.acting(asking.USER, found.subject)
        return found

    async def prove(
        self,
        principal: Principal,
        credentials: bytes,
        proofs: list[str],
        method: str,
        host: str,
        path: str,
        now: datetime,
    ) -> None:
        """That the key to which the token is bound signed this very request (RFC 9449 §7). Raises InvalidDpopProof,
        UseDpopNonce, InvalidToken."""
        urls = dpop.addresses(host, path, self._world)
        await self.prove_at(principal, credentials, proofs, method, urls, now)

    async def prove_at(
        self,
        principal: Principal,
        credentials: bytes,
        proofs: list[str],
        method: str,
        urls: frozenset[str],
        now: datetime,
    ) -> None:
        """The same for a request to one of these addresses, which somebody else received."""
        jkt = await dpop.holder(proofs, method, urls, self._world, now, token_of([credentials], DPOP))
        if jkt != principal.jkt:
            raise InvalidToken("the access token is bound to another key than the DPoP proof's")

    async def recognised(self, credentials: list[bytes], resource: Resource | None, now: datetime) -> Principal:
        """Whose token this is, from every value of the Authorization header; a bound one needs `prove` besides. It must be for
        this resource; without one for any, and an API key is taken for the default. Raises NoToken, InvalidToken,
        InvalidRequest; TemporarilyUnavailable when nobody has said for too long what is revoked."""
        by_dpop = bool(credentials) and credentials[0][: len(DPOP)].lower() == DPOP
        token = token_of(credentials, DPOP) if by_dpop else bearer(credentials)
        revocations = self._world.live.revocations
        if revocations.is_stale(now.timestamp(), self._staleness):
            raise TemporarilyUnavailable("revocations are not known at the moment", retry_after=1)
        found = await self._recognised(token, resource, now)
        if revocations.covers(found):
            raise InvalidToken("the access token was revoked")
        if by_dpop != (found.jkt is not None):  # RFC 9449 §7.2: a stolen bound token must not pass as a bearer token
            how = (
                "not bound to a key; send it as Bearer" if by_dpop else "bound to a key; send it as DPoP, with a proof"
            )
            raise InvalidToken(f"the access token is {how}")
        return found

    def note(self, principal: Principal, now: datetime) -> None:
        """That a connection or an API key was used; written later."""
        if principal.connection_id is not None:
            self._world.last_used.saw("connections", principal.connection_id, now)
        elif principal.via == "api_key":
            self._world.last_used.saw("api_keys", principal.client_id, now)

    async def _recognised(self, token: str, resource: Resource | None, now: datetime) -> Principal:
        world = self._world
        if token.startswith(API_KEY):
            return await self._by_key(token, resource or world.resources.default, now)
        audiences = world.resources.audiences if resource is None else {resource.audience: resource.scopes}
        return await world.live.verified(token, world.settings.issuer, audiences, now)

    async def _by_key(self, api_key: str, resource: Resource, now: datetime) -> Principal:
        found = await store.usable(self._world.pool, api_key, resource.audience, now)
        if found is None:
            await refused(self._world, api_key, now)
            raise InvalidToken("the API key is not valid")
        authorization, expires_at, _ = found
        scope = self._world.resources.held(resource, authorization.scope)
        if not scope:
            raise InvalidToken("the API key is for another resource")
        seen = int(now.timestamp())
        return Principal(
            subject=authorization.subject,
            client_id=authorization.client_id,
            scope=expanded(frozenset(scope), resource.scopes),
            via="api_key",
            issued_at=seen,
            expires_at=min(seen + KEY_SECONDS, int(expires_at.timestamp()) if expires_at else seen + KEY_SECONDS),
            handles=(authorization.client_id, authorization.subject),
            token_id=authorization.client_id,
            connection_id=None,
            revocable_since=seen,
            resource=resource.audience,
        )
