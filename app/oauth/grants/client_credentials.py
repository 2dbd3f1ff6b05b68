"""grant_type=client_credentials: a program without a person, in the name of the owner whom the operator gave it (RFC 6749 §4.4)."""

from __future__ import annotations

from datetime import datetime

from app.clients import store
from app.protocol.errors import InvalidGrant, InvalidScope
from app.protocol.params import Params
from app.protocol.scope import within, words_of
from app.protocol.types import Authorization, Client
from app.remembered import Outdated
from app.world import World


async def redeem(world: World, client: Client, params: Params, jkt: str | None, now: datetime) -> Authorization:
    """The owner's authorization; no refresh token, since the client can ask again (RFC 6749 §4.4.3). The client's row has
    brought the owner along, or one statement says that it still does.

    A disabled owner is `invalid_grant` and not `invalid_client`: the secret is right, and a client that threw it away
    would not come back when the owner does.
    """
    resource = world.resources.resolve(params.all("resource"))
    if client.owner_id is None:
        raise InvalidGrant("the account that this client acts for is disabled")
    if client.is_remembered and not await store.is_same(world.pool, client):
        raise Outdated
    held = world.resources.held(resource, words_of(client.scope))
    scope = within(params.get("scope"), frozenset(held), resource.scopes)
    if not scope:
        raise InvalidScope("scope names nothing that this client was given")
    return Authorization(client.owner_id, client.client_id, scope, resource.audience, via="client_credentials")
