"""grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer: an identity provider whom the operator trusts vouches for a user
(RFC 7523 §3, draft-ietf-oauth-identity-assertion-authz-grant §4.4, MCP enterprise-managed authorization).

The assertion (ID-JAG) names the user, the client and the scope: the provider has decided, so nobody is asked for consent.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog

from app.identities import store
from app.outside.fetch import Unfetchable
from app.protocol.email import normal_email
from app.protocol.errors import InvalidGrant, InvalidScope, InvalidTarget, TemporarilyUnavailable
from app.protocol.params import Params
from app.protocol.scope import expanded, within, words_of
from app.protocol.types import Authorization, Client
from app.replay import first_use
from app.resources.model import Resource
from app.tokens.assertions import BadAssertion, checked, unverified
from app.traces.recording import note
from app.world import World

TYPE = "oauth-id-jag+jwt"
LONGEST = timedelta(hours=1)  # providers say five minutes; more than this is a mistake of theirs
MAX_SUBJECT = 255  # OIDC Core §2
log = structlog.get_logger("gatehouse.oauth")


async def redeem(world: World, client: Client, params: Params, jkt: str | None, now: datetime) -> Authorization:
    """The authorization of the user whom the assertion names. The assertion is used up last, in the one statement that
    knows whether it was used before. No refresh token: the provider decides anew each time (draft §4.4.3).

    Raises InvalidGrant for whatever is wrong with the assertion (RFC 7521 §4.1.1), TemporarilyUnavailable when the
    provider's keys cannot be had: the assertion may be good, and has not been used.
    """
    resource = world.resources.resolve(params.all("resource"))
    try:
        claims = await _verified(world, params.required("assertion"), now)
        _check_meant(claims, client, jkt, resource, world)
        held = _held(claims, client, resource, world)
    except BadAssertion as fault:
        raise InvalidGrant(f"assertion {fault}") from fault
    scope = within(params.get("scope"), held, resource.scopes)
    if not scope:
        raise InvalidScope("scope names nothing that the assertion allows this client")
    user_id = await _user(world, claims, client, now)
    expires_at = datetime.fromtimestamp(claims["exp"], now.tzinfo)
    once = {"made_at": datetime.fromtimestamp(claims["iat"], now.tzinfo), "epoch": world.epoch}
    if not await first_use(world.pool, "id-jag", claims["iss"], claims["jti"], now, expires_at, **once):
        raise InvalidGrant("assertion was used before")
    return Authorization(user_id, client.client_id, scope, resource.audience, via="jwt-bearer")


async def _verified(world: World, assertion: str, now: datetime) -> dict[str, Any]:
    """The claims of a trusted issuer, for us, in time (RFC 7523 §3 items 1 to 8). Raises BadAssertion."""
    header, claims = unverified(assertion)
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or issuer not in world.settings.trusted_issuers:
        raise BadAssertion("is from an issuer that this server does not trust")
    note(assertion_issuer=issuer)
    try:
        keys = await world.issuers.keys(issuer, header.get("kid"), now)
    except Unfetchable as fault:
        log.warning("issuer's keys not fetched", issuer=issuer, why=str(fault))
        raise TemporarilyUnavailable(f"the keys of {issuer} cannot be had: {fault}", retry_after=5) from fault
    claims = checked(assertion, keys, audiences=frozenset({world.settings.issuer}), longest=LONGEST, now=now, typ=TYPE)
    if claims.get("iat") is None or claims["exp"] - claims["iat"] > LONGEST.total_seconds():
        raise BadAssertion(f"has no iat, or is valid for longer than {LONGEST.total_seconds():g} seconds")
    return claims


def _check_meant(claims: dict[str, Any], client: Client, jkt: str | None, resource: Resource, world: World) -> None:
    """That it is this client's, for this resource, about somebody. Raises BadAssertion."""
    if claims.get("client_id") != client.client_id:
        raise BadAssertion("was given to another client")
    if claims.get("cnf") not in (None, {"jkt": jkt}):
        raise BadAssertion("is bound to a key (cnf); send a DPoP proof of that key")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT or not subject.isprintable():
        raise BadAssertion("has no sub")
    # Without the claim it is for the default: `aud` has named us already.
    meant = claims.get("resource", [])
    named = [meant] if isinstance(meant, str) else meant
    if not isinstance(named, list) or not all(isinstance(uri, str) for uri in named):
        raise BadAssertion("has a resource that is no URI")
    try:
        meant_ones = {world.resources.resolve([uri]).audience for uri in named} or {world.resources.default.audience}
    except InvalidTarget:
        meant_ones = set()
    if resource.audience not in meant_ones:
        raise BadAssertion("is meant for another resource")


def _held(claims: dict[str, Any], client: Client, resource: Resource, world: World) -> frozenset[str]:
    """What the provider allows, as far as the client may have it; the default when the provider does not say.

    Raises BadAssertion when it speaks of other scopes than ours (MCP enterprise-managed authorization §7.6.2).
    """
    said = claims.get("scope", " ".join(resource.default))
    if not isinstance(said, str):
        raise BadAssertion("has a scope that is no string")
    words = [word for word in words_of(client.scope) if word in world.resources.words]
    registered = frozenset(world.resources.held(resource, words) if words else resource.scopes)
    allowed = expanded(frozenset(word for word in words_of(said) if word in resource.scopes), resource.scopes)
    if not allowed:
        raise BadAssertion("allows no scope of this server")
    return allowed & expanded(registered, resource.scopes)


async def _user(world: World, claims: dict[str, Any], client: Client, now: datetime) -> str:
    """The account that is meant: the one bound to issuer and subject, else the one of the verified e-mail, bound from
    now on. Nobody gets an account in this way. Raises InvalidGrant."""
    issuer, subject = claims["iss"], claims["sub"]
    found = await store.known(world.pool, issuer, subject)
    if found is None:
        found = await store.bind(world.pool, issuer, subject, _email(claims), client.client_id, now)
    if found is None:
        raise InvalidGrant("assertion is about somebody who has no account here, or whose address has another subject")
    if not found.enabled:
        raise InvalidGrant("assertion is about somebody whose account is disabled")
    return found.user_id


def _email(claims: dict[str, Any]) -> str:
    """The address that the issuer has verified. Raises InvalidGrant when it does not say so: accounts are not joined by hearsay."""
    email = normal_email(claims["email"]) if isinstance(claims.get("email"), str) else None
    if email is None or claims.get("email_verified") is not True:
        raise InvalidGrant(
            "assertion is about somebody unknown here, and has no e-mail address that its issuer verified"
        )
    return email
