"""grant_type=refresh_token: rotation with an idempotent grace, families that die of reuse (OAuth 2.1 §4.3, RFC 9700 §4.14)."""

from __future__ import annotations

from datetime import datetime, timedelta

from app import audit
from app.clients import lifetimes
from app.connections import store
from app.connections.end import took_back
from app.protocol.errors import InvalidGrant, InvalidScope, InvalidTarget, OAuthError
from app.protocol.params import Params
from app.protocol.scope import IDENTITY, words_of
from app.protocol.types import Authorization, Client
from app.remembered import Outdated
from app.tokens.refresh import RefreshToken, read
from app.traces.recording import note
from app.world import World


async def redeem(world: World, client: Client, params: Params, jkt: str | None, now: datetime) -> Authorization:
    """The connection's next authorization, narrowed to `scope` if that is given."""
    token = read(params.required("refresh_token"), world.secrets.refresh)
    audience = world.resources.named(params.all("resource"))
    if token is None:
        raise InvalidGrant("the refresh token is not one of ours")
    note(connection_id=token.connection_id)
    words = world.resources.every_scope
    scope = tuple(word for word in words_of(params.get("scope")) if word in IDENTITY or word in words)
    authorization = await store.refresh(
        world.pool,
        token.connection_id,
        token.counter,
        client.client_id,
        scope,
        jkt,
        audience,
        now,
        grace=world.live.grace(timedelta(seconds=world.settings.refresh_grace), now),
        idle=lifetimes.idle(client, world.settings),
        version=client.expected_version,
    )
    if authorization is None:
        if client.is_remembered:
            raise Outdated
        raise await _why_not(world, token, client, scope, audience, now)
    return authorization


async def _why_not(
    world: World, token: RefreshToken, client: Client, scope: tuple[str, ...], audience: str | None, now: datetime
) -> OAuthError:
    """The refusal; and when the token had been superseded, the end of all that hangs from its connection."""
    grace = world.live.grace(timedelta(seconds=world.settings.refresh_grace), now)
    async with world.db.begin() as db:
        ended = await store.end_if_reused(db, token.connection_id, token.counter, client.client_id, now, grace=grace)
        if ended is not None:
            owner, name = ended.user_id, token.connection_id
            await audit.record(db, "refresh.reused", now, user_id=owner, client_id=ended.client_id, connection=name)
            await took_back(
                db,
                token.connection_id,
                "refresh token reuse",
                now,
                user_id=ended.user_id,
                client_id=ended.client_id,
                lifetime=world.token_lifetime,
            )
            note(why=["the refresh token was used before"], user_id=ended.user_id)
            return InvalidGrant("the refresh token was used before; the connection is ended")
        held = await store.held(db, token.connection_id, token.counter, client.client_id)
    if held is not None and not held[0].issuperset(word for word in scope if word not in IDENTITY):
        return InvalidScope("scope asks for more than the user allowed")
    if held is not None and audience not in (None, held[1]):
        return InvalidTarget("the refresh token is for another resource, and opens no other")
    return InvalidGrant("the refresh token is expired, revoked, or belongs to another client or key")
