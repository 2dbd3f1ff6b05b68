"""private_key_jwt: a client proves itself with a JWT that it signed (RFC 7521 §4.2, RFC 7523 §2.2 and §3)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from app.outside.fetch import Unfetchable
from app.outside.key_sets import keys_of
from app.protocol.errors import InvalidClient
from app.protocol.types import Client
from app.replay import first_use
from app.tokens.assertions import BadAssertion, checked, unverified
from app.world import World

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST = timedelta(hours=1)


def claimed_client_id(assertion: str) -> str:
    """Whom the assertion is said to come from, for looking up the keys to check it with. Raises InvalidClient."""
    try:
        subject = unverified(assertion)[1].get("sub")
    except BadAssertion as fault:
        raise InvalidClient(f"client_assertion {fault}") from fault
    if not isinstance(subject, str) or not 0 < len(subject) <= 500:
        raise InvalidClient("client_assertion names no client in sub")
    return subject


async def prove(client: Client, assertion: str, endpoint: str, world: World, now: datetime) -> None:
    """Raises InvalidClient unless the assertion is signed by the client, meant for us, in time, and new.

    `endpoint` is the URL it was sent to: besides the issuer and the token endpoint, an assertion may name it (RFC 9126 §2).
    """
    issuer = world.settings.issuer
    try:
        header, _ = unverified(assertion)
        claims = checked(
            assertion,
            await _keys(client, header.get("kid"), world, now),
            audiences=frozenset({issuer, f"{issuer}/token", endpoint}),
            longest=LONGEST,
            now=now,
        )
    except (BadAssertion, Unfetchable) as fault:
        raise InvalidClient(f"client_assertion {fault}") from fault
    if claims.get("iss") != client.client_id or claims.get("sub") != client.client_id:
        raise InvalidClient("client_assertion must name the client in iss and in sub")
    expires_at = datetime.fromtimestamp(claims["exp"], now.tzinfo)
    if not await first_use(world.pool, "client assertion", client.client_id, claims["jti"], now, expires_at):
        raise InvalidClient("client_assertion was used before")


async def _keys(client: Client, kid: object, world: World, now: datetime) -> tuple[dict[str, Any], ...]:
    keys = client.keys or {}
    if "jwks" in keys:
        return keys_of(keys["jwks"])
    named_by_operator = client.kind == "static"
    return await world.key_sets.keys(keys["jwks_uri"], kid, now, private=named_by_operator)
