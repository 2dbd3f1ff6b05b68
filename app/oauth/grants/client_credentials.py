"""grant_type=client_credentials: a program without a person, in the name of the owner whom the operator gave it (RFC 6749 §4.4)."""

from __future__ import annotations

from datetime import datetime

from app.protocol.errors import InvalidGrant, InvalidScope
from app.protocol.params import Params
from app.protocol.resource import resolve
from app.protocol.scope import SCOPES, within, words_of
from app.protocol.types import Authorization, Client
from app.world import World


async def redeem(world: World, client: Client, params: Params, jkt: str | None, now: datetime) -> Authorization:
    """The owner's authorization; no refresh token, since the client can ask again (RFC 6749 §4.4.3). The client's row has
    brought the owner along, so that there is nothing more to look up.

    A disabled owner is `invalid_grant` and not `invalid_client`: the secret is right, and a client that threw it away
    would not come back when the owner does.
    """
    resource = resolve(params.all("resource"), world.settings.resource, world.settings.issuer)
    if client.owner_id is None:
        raise InvalidGrant("the account that this client acts for is disabled")
    held = frozenset(word for word in words_of(client.scope) if word in SCOPES)
    scope = within(params.get("scope"), held)
    if not scope:
        raise InvalidScope("scope names nothing that this client was given")
    return Authorization(client.owner_id, client.client_id, scope, resource, via="client_credentials")
