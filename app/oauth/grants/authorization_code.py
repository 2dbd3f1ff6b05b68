"""grant_type=authorization_code (RFC 6749 §4.1.3, RFC 7636 §4.6, OAuth 2.1 §7.5.2 on replay)."""

from __future__ import annotations

from datetime import datetime

from app import audit
from app.clients import lifetimes
from app.connections import store
from app.connections.end import end
from app.oauth import store as codes
from app.protocol.errors import InvalidGrant, InvalidTarget
from app.protocol.params import Params
from app.protocol.pkce import challenge_of
from app.protocol.types import Authorization, Client
from app.tokens.secrets import fingerprint, new_id
from app.traces.recording import note
from app.world import World


async def redeem(world: World, client: Client, params: Params, jkt: str | None, now: datetime) -> Authorization:
    """The authorization that the code stands for. Every check comes before the code is spent, in the statement that spends it.

    `redirect_uri` must fit when it is sent; OAuth 2.1 §4.1.3 no longer asks for it, since PKCE binds the code.
    """
    note(link=params.get("code"))
    code, code_verifier = params.required("code"), params.required("code_verifier")
    audience = world.resources.named(params.all("resource"))
    code_challenge = challenge_of(code_verifier)
    note(link=code_challenge)
    if code_challenge is None:
        note(why=["the code_verifier is not 43 to 128 unreserved characters"])
        raise InvalidGrant("code_verifier does not fit")
    key = fingerprint(code)
    authorization = await store.redeem_code(
        world.pool,
        key,
        client.client_id,
        code_challenge,
        params.get("redirect_uri"),
        new_id("con"),
        now,
        now + lifetimes.absolute(client, world.settings),
        jkt,
        jkt if client.is_public else None,
        audience,
    )
    if authorization is None:
        await _take_back_after_replay(world, key, client, code_challenge, now)
        redirect_uri = params.get("redirect_uri")
        why = await codes.why_not_redeemed(
            world.pool, key, client.client_id, code_challenge, redirect_uri, audience, now
        )
        note(why=why)
        if why == [codes.OTHER_RESOURCE]:
            raise InvalidTarget("the code was given for another resource")
        raise InvalidGrant(
            "the code is unknown, expired, used, or was given for another client, redirect, verifier or key"
        )
    return authorization


async def _take_back_after_replay(world: World, key: bytes, client: Client, code_challenge: str, now: datetime) -> None:
    async with world.db.begin() as db:
        connection_id = await store.replayed(db, key, client.client_id, code_challenge)
        if connection_id is not None:
            because = "authorization code replay"
            if await end(db, connection_id, because, now, lifetime=world.token_lifetime):
                await audit.record(db, "code.replayed", now, client_id=client.client_id, connection=connection_id)
