"""grant_type=refresh_token: rotation with an idempotent grace, families that die of reuse (OAuth 2.1 §4.3, RFC 9700 §4.14)."""

from __future__ import annotations

from collections.abc import Collection
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
    at = world.resources.at(audience or "")
    scope = _words(params.get("scope"), world.resources.every_scope if at is None else at.scopes)
    authorization = await _moved_on(world, token, client, scope, jkt, audience, now)
    if authorization is None and at is None:
        own = await _of_its_resource(world, token, client, scope, now)
        if own != scope:
            scope, authorization = own, await _moved_on(world, token, client, own, jkt, audience, now)
    if authorization is None:
        if client.is_remembered:
            raise Outdated
        raise await _why_not(world, token, client, scope, audience, now)
    return authorization


def _words(text: str | None, known: Collection[str]) -> tuple[str, ...]:
    return tuple(word for word in words_of(text) if word in IDENTITY or word in known)


async def _moved_on(
    world: World,
    token: RefreshToken,
    client: Client,
    scope: tuple[str, ...],
    jkt: str | None,
    audience: str | None,
    now: datetime,
) -> Authorization | None:
    return await store.refresh(
        world.pool,
        token.connection_id,
        token.counter,
        client.client_id,
        scope,
        jkt,
        audience,
        now,
        grace=_grace(world, now),
        idle=lifetimes.idle(client, world.settings),
        version=client.expected_version,
    )


def _grace(world: World, now: datetime) -> timedelta:
    return world.live.grace(timedelta(seconds=world.settings.refresh_grace), now)


async def _of_its_resource(
    world: World, token: RefreshToken, client: Client, scope: tuple[str, ...], now: datetime
) -> tuple[str, ...]:
    """`scope` without what the connection's own resource does not know, as /authorize drops it: clients repeat here what they
    asked for there, which may be the scopes of every resource. Looked up only for words that not every resource has."""
    tools = [word for word in scope if word not in IDENTITY]
    if all(word in one.scopes for one in world.resources for word in tools):
        return scope
    async with world.db.begin() as db:
        held = await store.held(db, token.connection_id, token.counter, client.client_id, now, grace=_grace(world, now))
    at = world.resources.at(held[1]) if held is not None else None
    return scope if at is None else tuple(word for word in scope if word in IDENTITY or word in at.scopes)


async def _why_not(
    world: World, token: RefreshToken, client: Client, scope: tuple[str, ...], audience: str | None, now: datetime
) -> OAuthError:
    """The refusal; and when the token had been superseded, the end of all that hangs from its connection."""
    grace = _grace(world, now)
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
        held = await store.held(db, token.connection_id, token.counter, client.client_id, now, grace=grace)
    if held is not None and audience not in (None, held[1]):
        return InvalidTarget("the refresh token is for another resource, and opens no other")
    if held is not None and not held[0].issuperset(word for word in scope if word not in IDENTITY):
        return InvalidScope("scope asks for more than the user allowed")
    return InvalidGrant("the refresh token is expired, revoked, or belongs to another client or key")
