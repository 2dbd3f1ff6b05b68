"""grant_type=urn:ietf:params:oauth:grant-type:device_code: the device asks whether its user has decided (RFC 8628 §3.4, §3.5)."""

from __future__ import annotations

from datetime import datetime

from app.clients import lifetimes
from app.oauth.device import store
from app.protocol.errors import AuthorizationPending, DeviceRefused, ExpiredToken, InvalidGrant, OAuthError, SlowDown
from app.protocol.params import Params
from app.protocol.types import Authorization, Client
from app.tokens.secrets import fingerprint, new_id
from app.traces.recording import note
from app.world import World


async def redeem(world: World, client: Client, params: Params, jkt: str | None, now: datetime) -> Authorization:
    """The authorization, once the user allowed it; it is given once. Until then the word that says how to go on."""
    device_code = params.required("device_code")
    key = fingerprint(device_code)
    note(link=key.hex())
    audience = world.resources.named(params.all("resource"))
    polled = await store.poll_device_code(
        world.pool,
        key,
        client.client_id,
        new_id("con"),
        now,
        now + lifetimes.absolute(client, world.settings),
        jkt if client.is_public else None,
        audience,
    )
    if polled is None or polled.authorization is None:
        refusal = _why_not(polled)
        if isinstance(refusal, (AuthorizationPending, SlowDown)):  # said every few seconds: the first is worth keeping
            note(keep=world.traces.is_news(f"{refusal.error} {key.hex()}", now))
        raise refusal
    return polled.authorization


def _why_not(polled: store.Polled | None) -> OAuthError:
    if polled is None:
        return InvalidGrant("the device_code is unknown, used, or was given to another client")
    if polled.allowed is False:
        return DeviceRefused("the user did not allow this")
    if polled.expired:
        return ExpiredToken("nobody entered the code in time; ask for a new one")
    if polled.allowed:
        return InvalidGrant("the user who allowed this has no account any more")
    if polled.early:
        return SlowDown("wait five seconds longer between two polls, from now on")
    return AuthorizationPending("the user has not decided yet")
