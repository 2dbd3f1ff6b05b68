"""The only place that accepts access tokens (RFC 9068 §4, RFC 8725 §3): pure, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import jwt

from app.language.catalogs import N_
from app.protocol.errors import InvalidToken
from app.protocol.scope import Scope, expanded
from app.protocol.types import Principal
from app.tokens import jws
from app.tokens.issue import RECEIPT_TYPE, TYPE
from app.tokens.keyring import ALGORITHM, KeyRing

REQUIRED = ("iss", "sub", "aud", "client_id", "iat", "exp", "jti", "scope", "via")
MAX_TOKEN = 4096  # bytes; ours are under 1,000


Audiences = Mapping[str, Mapping[str, Scope]]  # for whom a token may be, and what scopes there mean


class UnknownKey(InvalidToken):
    """Signed with a key that is not on the ring; perhaps one that another replica has just made."""


def verify(token: str, ring: KeyRing, issuer: str, audiences: Audiences, now: datetime) -> Principal:
    """The principal that this token stands for at one of these resources. Raises InvalidToken."""
    if len(token) > MAX_TOKEN:
        raise InvalidToken("the access token is not one of ours")
    try:
        header = jws.header(token)
        # `typ` keeps other JWTs out (§4); `jku`, `jwk` and `x5u` are never looked at (RFC 8725 §3.10).
        if str(header.get("typ", "")).lower().removeprefix("application/") != TYPE:
            raise InvalidToken("the token is not an access token")
        key = ring.verifier(str(header.get("kid")), now)
        if key is None:
            raise UnknownKey("the access token was signed with an unknown key")
        claims = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=list(audiences),
            issuer=issuer,
            options={"require": list(REQUIRED), "verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
    except jwt.InvalidAudienceError as fault:
        raise InvalidToken("the access token is for another resource") from fault
    except jwt.InvalidIssuerError as fault:
        raise InvalidToken("the access token is from another issuer") from fault
    except (jwt.PyJWTError, ValueError, RecursionError) as fault:
        raise InvalidToken("the access token is not valid") from fault
    return _principal(claims, audiences, now)


def receipt_claims(text: str, ring: KeyRing, issuer: str, now: datetime) -> dict[str, Any]:
    """What a receipt of ours says (RFC 7515); it has no end, but its key has. Raises InvalidToken."""
    if len(text) > MAX_TOKEN:
        raise InvalidToken(N_("this is no receipt of ours"))
    try:
        header = jws.header(text)
        key = ring.verifier(str(header.get("kid")), now) if header.get("typ") == RECEIPT_TYPE else None
        if key is None:
            raise InvalidToken(N_("this is no receipt of ours, or one whose key is published no more"))
        options = {"require": ["iss", "iat", "jti"], "verify_aud": False, "verify_iat": False}
        claims: dict[str, Any] = jwt.decode(text, key, algorithms=[ALGORITHM], issuer=issuer, options=options)  # type: ignore[arg-type]
    except (jwt.PyJWTError, ValueError, RecursionError) as fault:
        raise InvalidToken(N_("this is no receipt of ours, or it was altered")) from fault
    return claims


def _principal(claims: dict[str, Any], audiences: Audiences, now: datetime) -> Principal:
    if claims["exp"] <= now.timestamp():
        raise InvalidToken("the access token expired")
    exchanged = claims.get("exchanged", {})
    handles = (
        claims["jti"],
        claims["sub"],
        claims["client_id"],
        claims.get("connection"),
        *exchanged.get("handles", ()),
    )
    return Principal(
        subject=claims["sub"],
        client_id=claims["client_id"],
        scope=expanded(frozenset(claims["scope"].split()), audiences[claims["aud"]]),
        via=claims["via"],
        issued_at=claims["iat"],
        expires_at=claims["exp"],
        handles=tuple(handle for handle in handles if handle),
        token_id=claims["jti"],
        connection_id=claims.get("connection"),
        revocable_since=exchanged.get("iat", claims["iat"]),
        jkt=claims.get("cnf", {}).get("jkt"),
        resource=claims["aud"],
    )
