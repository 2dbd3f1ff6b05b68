"""POST /introspect: what a token is worth at this moment, for those whom it concerns (RFC 7662)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.clients import lifetimes
from app.clients.authenticate import confirmed
from app.connections.store import refreshable
from app.oauth import store
from app.protocol.errors import InvalidClient, InvalidToken
from app.protocol.types import Client
from app.remembered import Outdated
from app.tokens.refresh import RefreshToken, read
from app.web.http import form, no_store
from app.world import World

INACTIVE: dict[str, Any] = {"active": False}


async def introspect(request: Request, world: World) -> Response:
    """Who may know what, since §4 wants neither strangers nor token scanners served:

    * only a client that proves itself may ask; a public one (`none`) is refused with 401 `invalid_client` (§2.1);
    * a client learns about its own tokens;
    * an API that the operator marked (`gatehouse client add --introspect`) learns about every access token for a
      resource of this server, whoever's it is, since callers bring it those. It learns of no refresh token: nobody
      may bring it one.

    Whatever else is asked, and whatever is expired, revoked, foreign or garbage, is `{"active": false}` (§2.2). An
    active refresh token has the issuer for its `aud`, so that no API takes it for an access token.
    """
    now = world.now()
    params = await form(request, world)
    params.refuse_repeats()

    async def told(client: Client) -> dict[str, Any]:
        if client.is_public:
            raise InvalidClient("only a client that authenticates itself may ask about tokens")
        token = params.required("token")
        refresh_token = read(token, world.secrets.refresh)
        if refresh_token is None:
            answer = await _access_token(world, client, token, now)
        else:
            answer = await _refresh_token(world, client, refresh_token, now)
        if client.is_remembered and answer is INACTIVE:
            raise Outdated
        return answer

    return no_store(await confirmed(request, params, world, told))


async def _access_token(world: World, client: Client, token: str, now: datetime) -> dict[str, Any]:
    issuer = world.settings.issuer
    try:
        principal = await world.live.verified(token, issuer, world.resources.audiences, now)
    except InvalidToken:
        return INACTIVE
    if not client.introspects and principal.client_id != client.client_id:
        return INACTIVE
    holder = await store.holder(world.pool, principal, client)
    if holder.revoked or not holder.same_client:
        return INACTIVE
    answer = {
        "active": True,
        "scope": " ".join(sorted(principal.scope)),  # with what the broader ones include
        "client_id": principal.client_id,
        "username": holder.email,
        "token_type": "Bearer" if principal.jkt is None else "DPoP",
        "cnf": None if principal.jkt is None else {"jkt": principal.jkt},  # RFC 9449 §6.2
        "exp": principal.expires_at,
        "iat": principal.issued_at,
        "sub": principal.subject,
        "aud": principal.resource,
        "iss": issuer,
        "jti": principal.token_id,
    }
    return {name: value for name, value in answer.items() if value is not None}


async def _refresh_token(world: World, client: Client, token: RefreshToken, now: datetime) -> dict[str, Any]:
    if client.is_remembered:
        raise Outdated  # no statement here looks at the client
    settings = world.settings
    found = await refreshable(
        world.pool,
        token.connection_id,
        token.counter,
        client.client_id,
        now,
        grace=world.live.grace(timedelta(seconds=settings.refresh_grace), now),
        idle=lifetimes.idle(client, settings),
    )
    if found is None:
        return INACTIVE
    return {
        "active": True,
        "scope": " ".join(found.scope),
        "client_id": client.client_id,
        "username": found.email,
        "exp": int(found.ends_at.timestamp()),
        "iat": int(found.issued_at.timestamp()),
        "sub": found.user_id,
        "aud": settings.issuer,
        "iss": settings.issuer,
        "jti": f"{token.connection_id}:{token.counter}",
    }
