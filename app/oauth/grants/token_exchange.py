"""grant_type=urn:ietf:params:oauth:grant-type:token-exchange: a narrower token for a token, a token for an API key (RFC 8693 §2).

What comes out is never wider than what went in, ends with it at the latest, and is void within a second of whatever voids it:
it carries the names under which the first one can be revoked.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from starlette.requests import Request

from app.api_keys import store
from app.clients.authenticate import names_a_client
from app.protocol import token_types
from app.protocol.client_metadata import TOKEN_EXCHANGE
from app.protocol.errors import (
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    InvalidToken,
    TemporarilyUnavailable,
    UnknownApiKey,
)
from app.protocol.params import Params
from app.protocol.scope import expanded, words_of
from app.protocol.types import Authorization, Client, Exchanged, Principal
from app.resources.model import Resource
from app.world import World

MOST_HANDLES = 8  # a token exchanged for one that was exchanged for one … grows by a name each time
# Whoever holds an API key and is no client: the key alone lets it in, as at /auth/token.
SCRIPT = Client("", "a script", (), frozenset({TOKEN_EXCHANGE}), "none", None, None)


def is_script(request: Request, params: Params) -> bool:
    """True for an API key without a client."""
    by_key = params.get("grant_type") == TOKEN_EXCHANGE and params.get("subject_token_type") == token_types.API_KEY
    return by_key and not names_a_client(request, params)


async def redeem(world: World, client: Client, params: Params, jkt: str | None, now: datetime) -> Authorization:
    """The authorization for the subject's token. Raises InvalidRequest whatever is wrong with it (§2.2.2), InvalidTarget,
    InvalidScope; UnknownApiKey for a key that is none."""
    if params.get("actor_token") or params.get("actor_token_type"):
        raise InvalidRequest("actor_token is not supported: the token stands for the subject alone")
    if params.get("requested_token_type") not in (None, token_types.ACCESS_TOKEN):
        raise InvalidRequest(f"requested_token_type must be {token_types.ACCESS_TOKEN}")
    asked = params.all("resource") + params.all("audience")
    subject_token, kind = params.required("subject_token"), params.required("subject_token_type")
    if kind == token_types.API_KEY:
        return await _for_key(world, client, subject_token, params.get("scope"), world.resources.resolve(asked), now)
    if kind in (token_types.ACCESS_TOKEN, token_types.JWT):
        principal = await _principal(world, subject_token, jkt, now)
        if world.resources.named(asked) not in (None, principal.resource):
            raise InvalidTarget("subject_token is for another resource, and opens no other")
        return _for_token(client, principal, params.get("scope"), world.resources.by_audience[principal.resource])
    kinds = ", ".join((token_types.ACCESS_TOKEN, token_types.JWT, token_types.API_KEY))
    raise InvalidRequest(f"subject_token_type must be one of {kinds}")


async def _principal(world: World, token: str, jkt: str | None, now: datetime) -> Principal:
    """Whom the subject token stands for. A revocation that is not known here yet will void what comes out, too; and what
    is bound to a key stays with it (RFC 9449 §11.3)."""
    revocations = world.live.revocations
    if revocations.is_stale(now.timestamp(), world.settings.revocation_staleness):
        raise TemporarilyUnavailable("revocations are not known at the moment", retry_after=1)
    try:
        principal = await world.live.verified(token, world.settings.issuer, world.resources.audiences, now)
    except InvalidToken as fault:
        raise InvalidRequest(f"subject_token: {fault.description}") from fault
    if revocations.covers(principal):
        raise InvalidRequest("subject_token: the access token was revoked")
    if principal.jkt not in (None, jkt):
        raise InvalidRequest("subject_token is bound to a key; send a DPoP proof of that key")
    return principal


def _for_token(client: Client, principal: Principal, scope: str | None, resource: Resource) -> Authorization:
    """A client that proves itself may exchange any token that it was given, others only their own (§2.1, §5)."""
    if principal.client_id != client.client_id and client.is_public:
        raise InvalidRequest("subject_token belongs to another client, and this one cannot prove who it is")
    own = (principal.subject, client.client_id, principal.connection_id)
    inherited = tuple(handle for handle in principal.handles if handle not in own)
    if len(inherited) > MOST_HANDLES:
        raise InvalidRequest("subject_token has been exchanged too often; use the one at the beginning")
    return Authorization(
        subject=principal.subject,
        client_id=client.client_id,
        scope=_narrowed(scope, tuple(sorted(principal.scope)), resource),
        resource=resource.audience,
        via="token_exchange",
        connection_id=principal.connection_id,
        expires_at=datetime.fromtimestamp(principal.expires_at, UTC),
        exchanged=Exchanged(inherited, principal.revocable_since),
    )


async def _for_key(
    world: World, client: Client, api_key: str, scope: str | None, resource: Resource, now: datetime
) -> Authorization:
    """Without a client, the very authorization of /auth/token; with one, the token names it and still hangs from the key."""
    found = await store.usable(world.pool, api_key, resource.audience, now)
    if found is None:
        raise UnknownApiKey("subject_token: the API key is not valid")
    authorization, expires_at, _ = found
    key_id, held = authorization.client_id, world.resources.held(resource, authorization.scope)
    if not held:
        raise InvalidTarget("subject_token: the API key is for another resource")
    authorization = replace(
        authorization,
        scope=_narrowed(scope, held, resource),
        expires_at=expires_at,
        exchanged=Exchanged((), int(now.timestamp())),
    )
    if client is not SCRIPT:
        exchanged = Exchanged((key_id,), int(now.timestamp()))
        authorization = replace(authorization, client_id=client.client_id, via="token_exchange", exchanged=exchanged)
    world.last_used.saw("api_keys", key_id, now)
    return authorization


def _narrowed(asked: str | None, held: tuple[str, ...], resource: Resource) -> tuple[str, ...]:
    """Unlike at /authorize an unknown word is refused: whoever narrows a token to hand it on must get what they asked for."""
    words = words_of(asked)
    if not expanded(frozenset(held), resource.scopes).issuperset(words):
        raise InvalidScope("scope asks for more than the subject_token has")
    return tuple(words) or held
