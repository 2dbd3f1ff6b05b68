"""Callers that the guard has met: a token is checked once, and then remembered until it expires or is revoked (RFC 6750 §2.1)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.types import Scope

from app.api_keys.callers import Callers
from app.protocol.errors import NoToken
from app.protocol.types import Principal
from app.resources.model import Resource
from app.world import World

REMEMBERED = 30_000  # tokens; some 90 MB, when there are so many
REMEMBERED_CALLER, CHECKED_CALLER = (("gatehouse_verifications_total", how) for how in ("remembered", "checked"))
NOTED_EVERY = 1.0  # seconds between two notes of a caller's last use


@dataclass(slots=True)
class Known:
    """A caller, as we and as the SDK know it; `noted_at` is when its use was noted last, in seconds since 1970;
    `is_new` until its first call was let in."""

    principal: Principal
    user: AuthenticatedUser
    noted_at: float = 0.0
    is_new: bool = True


class Acquaintances:
    """Once per resource and process. Kept by a digest of the Authorization header, so that no token lies in memory."""

    def __init__(self, world: World, callers: Callers, resource: Resource) -> None:
        self._world = world
        self._callers = callers
        self.resource = resource
        self._revocations = world.live.revocations
        self._staleness = world.settings.revocation_staleness
        # An OrderedDict finds its first at once; a dict walks over those that went.
        self._met: OrderedDict[bytes, Known] = OrderedDict()
        self._counts = world.measures.counts

    def __len__(self) -> int:
        return len(self._met)

    async def caller(self, scope: Scope, wanted: Mapping[bytes, list[bytes]], now: datetime) -> Known:
        """Who sends this request. `wanted` are its headers. Raises what `Callers.principal` raises."""
        credentials = wanted.get(b"authorization", [])
        known = await self.met(credentials, now)
        if known.principal.jkt is not None:
            proofs, host = [value.decode("latin-1") for value in wanted.get(b"dpop", [])], wanted[b"host"][0].decode()
            method, path = scope["method"], scope["path"]
            await self._callers.prove(known.principal, credentials[0], proofs, method, host, path, now)
        self.let_in(known, now)
        return known

    async def met(self, credentials: list[bytes], now: datetime) -> Known:
        """Whose token this is, from every value of the Authorization header; a bound one needs a proof besides. Raises what
        `Callers.recognised` raises."""
        if len(credentials) != 1:
            await self._callers.recognised(credentials, self.resource, now)
            raise NoToken("a bearer token is needed here")
        digest, moment = blake2b(credentials[0], digest_size=32).digest(), now.timestamp()
        known = self._met.get(digest)
        how = REMEMBERED_CALLER
        if known is None or not self._revocations.clear(known.principal, moment, self._staleness):
            self._met.pop(digest, None)
            how = CHECKED_CALLER
            known = self.introduced(await self._callers.recognised(credentials, self.resource, now))
            while len(self._met) >= REMEMBERED:
                self._met.popitem(last=False)  # the one that has been here longest
            self._met[digest] = known
        self._counts[how] += 1
        return known

    def let_in(self, known: Known, now: datetime) -> None:
        """Its use is noted."""
        moment = now.timestamp()
        if moment - known.noted_at >= NOTED_EVERY:
            known.noted_at = moment
            self._callers.note(known.principal, now)

    def introduced(self, principal: Principal) -> Known:
        """As the SDK and the servers built on it know their caller."""
        token = AccessToken(
            token="",  # the caller's token stops at our door
            client_id=principal.client_id,
            scopes=sorted(principal.scope),
            expires_at=principal.expires_at,
            resource=self.resource.audience,
            subject=principal.subject,
            claims={"iss": self._world.settings.issuer, "via": principal.via},
        )
        return Known(principal, AuthenticatedUser(token))
