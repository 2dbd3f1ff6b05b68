"""private_key_jwt: a client proves itself with a JWT that it signed (RFC 7521 §4.2, RFC 7523 §2.2 and §3)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from app import asking
from app.clients.find import AWAY_SECONDS, FETCHES
from app.limits import hit
from app.outside.faults import AGAIN
from app.outside.fetch import Busy, NotNow, Unfetchable
from app.outside.key_sets import Keys, keys_of
from app.protocol.errors import InvalidClient, TemporarilyUnavailable
from app.protocol.redirect_uri import without_query
from app.protocol.types import Client
from app.replay import first_use
from app.tokens.assertions import BadAssertion, checked, unverified
from app.traces.recording import note
from app.world import World

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST = timedelta(hours=1)


def claimed_client_id(assertion: str) -> str:
    """Whom the assertion is said to come from, for looking up the keys to check it with. Raises InvalidClient."""
    subject = _read(assertion)[1].get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 500:
        raise InvalidClient("client_assertion names no client in sub")
    return subject


async def prove(client: Client, assertion: str, endpoint: str, world: World, now: datetime) -> None:
    """Raises InvalidClient unless the assertion is signed by the client, meant for us, in time, and new;
    TemporarilyUnavailable while its keys cannot be had, TooManyRequests when they would have to be fetched once too often.

    `endpoint` is the URL it was sent to: besides the issuer and the token endpoint, an assertion may name it (RFC 9126 §2).
    """
    issuer = world.settings.issuer
    header, said = _read(assertion)
    try:
        claims = checked(
            assertion,
            await _keys(client, header.get("kid"), world, now),
            audiences=frozenset({issuer, f"{issuer}/token", endpoint}),
            longest=LONGEST,
            now=now,
        )
    except BadAssertion as fault:
        _note(header, said, now)
        raise InvalidClient(f"client_assertion {fault}") from fault
    if claims.get("iss") != client.client_id or claims.get("sub") != client.client_id:
        raise InvalidClient("client_assertion must name the client in iss and in sub")
    expires_at = datetime.fromtimestamp(claims["exp"], now.tzinfo)
    issued_at = claims.get("iat", claims["exp"] - LONGEST.total_seconds())  # at the earliest
    made_at = datetime.fromtimestamp(max(issued_at, 0), now.tzinfo)
    once = {"made_at": made_at, "epoch": world.epoch}
    if not await first_use(world.pool, "client assertion", client.client_id, claims["jti"], now, expires_at, **once):
        raise InvalidClient("client_assertion was used before")


def _read(assertion: str) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        return unverified(assertion)
    except BadAssertion as fault:
        raise InvalidClient(f"client_assertion {fault}") from fault


async def _keys(client: Client, kid: object, world: World, now: datetime) -> Keys:
    """Raises InvalidClient, TooManyRequests."""
    keys = client.keys or {}
    try:
        return keys_of(keys["jwks"]) if "jwks" in keys else await _published(client, keys["jwks_uri"], kid, world, now)
    except Unfetchable as fault:
        if "jwks_uri" in keys:
            note(keys_uri=without_query(keys["jwks_uri"]), keys_why=str(fault))
        said = f"the keys of this client could not be read: {fault}"
        if isinstance(fault, NotNow):
            again = AWAY_SECONDS if isinstance(fault, Busy) else round(AGAIN.total_seconds())
            raise TemporarilyUnavailable(said, retry_after=again) from fault
        raise InvalidClient(said) from fault


async def _published(client: Client, uri: str, kid: object, world: World, now: datetime) -> Keys:
    """Anybody may register and send assertions: a fetch is counted for them, and one that failed is not tried again at once.
    Raises Unfetchable, TooManyRequests."""
    named_by_operator = client.kind == "static"
    kept = world.key_sets.kept(uri, kid, now, private=named_by_operator)
    if kept is not None:
        return kept
    await hit(world.pool, FETCHES, asking.address() or "unknown", now)
    return await world.key_sets.fetched(uri, now, private=named_by_operator)


def _note(header: dict[str, Any], said: dict[str, Any], now: datetime) -> None:
    """For the trace: what a refused assertion says of itself, which is no secret. Never the assertion."""
    audience, expires_at = said.get("aud"), said.get("exp")
    named = audience if isinstance(audience, list) else [audience] if audience else []
    late = isinstance(expires_at, (int, float)) and abs(expires_at) < 1e12
    note(
        assertion_key=str(header["kid"])[:60] if "kid" in header else None,
        assertion_alg=str(header.get("alg"))[:20],
        assertion_audience=[str(value)[:200] for value in named[:5]] or None,
        assertion_expires_in=round(expires_at - now.timestamp()) if late else None,  # type: ignore[operator]
    )
