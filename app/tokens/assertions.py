"""JWTs that others signed: client assertions, identity assertions, DPoP proofs. Pure, no I/O (RFC 7523 §3, RFC 8725 §3)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import jwt

from app.protocol.metadata import SIGNING_ALGORITHMS as ALGORITHMS

MAX_LENGTH = 16 * 1024
SKEW = timedelta(seconds=60)
LEAST_RSA_BITS, MOST_RSA_BITS = 2048, 8192
LONGEST_E = 6  # characters: up to 32 bits. A longer exponent makes looking at a signature as dear as making one


class BadAssertion(Exception):
    """What is wrong with it, to be put behind the name of the parameter that it came in."""


def unverified(assertion: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, which nobody vouches for yet. Raises BadAssertion."""
    if len(assertion) > MAX_LENGTH:
        raise BadAssertion(f"is longer than {MAX_LENGTH} characters")
    try:
        found = jwt.decode_complete(assertion, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError) as fault:
        raise BadAssertion("is not a JWT") from fault
    header, claims = found["header"], found["payload"]
    if header.get("alg") not in ALGORITHMS:
        raise BadAssertion(f"is signed with another algorithm than {', '.join(ALGORITHMS)}")
    if "crit" in header:
        raise BadAssertion("has a critical header that is not understood")
    return header, claims


def checked(
    assertion: str,
    keys: Iterable[dict[str, Any]],
    *,
    audiences: frozenset[str],
    longest: timedelta,
    now: datetime,
    typ: str | None = None,
) -> dict[str, Any]:
    """The claims, when one of the keys signed them, for one of the audiences alone, now, and for no longer than `longest`.

    `exp` and `jti` are always there. Raises BadAssertion.
    """
    header, claims = unverified(assertion)
    if typ is not None and str(header.get("typ", "")).lower().removeprefix("application/") != typ:
        raise BadAssertion(f"is not of type {typ}")
    if not is_signed(assertion, header, keys):
        raise BadAssertion("is not signed with a key of its issuer")
    audience = claims.get("aud")
    named = [audience] if isinstance(audience, str) else audience
    if not isinstance(named, list) or not named or not all(isinstance(a, str) and a in audiences for a in named):
        raise BadAssertion("is meant for another audience")
    _check_times(claims, longest, now)
    if not isinstance(claims.get("jti"), str) or not 0 < len(claims["jti"]) <= 500:
        raise BadAssertion("has no jti")
    return claims


def is_signed(assertion: str, header: dict[str, Any], keys: Iterable[dict[str, Any]]) -> bool:
    """True when one of these public keys signed it, that its header may mean."""
    return any(signed_by(assertion, header, key) for key in _candidates(keys, header))


def signed_by(assertion: str, header: dict[str, Any], jwk: dict[str, Any]) -> bool:
    """True when this public key made the signature, with the algorithm that the header names and the key is for."""
    if len(str(jwk.get("n", ""))) > MOST_RSA_BITS // 6 + 2 or len(str(jwk.get("e", ""))) > LONGEST_E:
        return False
    try:
        key = jwt.PyJWK(jwk, header["alg"])
        if key.algorithm_name != header["alg"] or getattr(key.key, "key_size", 4096) < _least_bits(key):
            return False
        jwt.PyJWS().decode(assertion, key, algorithms=[header["alg"]])
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
        return False
    return True


def _least_bits(key: jwt.PyJWK) -> int:
    return LEAST_RSA_BITS if key.key_type == "RSA" else 0


def _candidates(keys: Iterable[dict[str, Any]], header: dict[str, Any]) -> list[dict[str, Any]]:
    """The public signing keys that this header may mean; a `kid` must fit, and without one every key is tried."""
    kid = header.get("kid")
    fitting = [key for key in keys if kid is None or key.get("kid") in (kid, None)]
    return [key for key in fitting if key.get("kty") in ("RSA", "EC", "OKP") and key.get("use", "sig") == "sig"][:10]


def _check_times(claims: dict[str, Any], longest: timedelta, now: datetime) -> None:
    moment, skew = now.timestamp(), SKEW.total_seconds()
    expires_at, issued_at, not_before = claims.get("exp"), claims.get("iat", moment), claims.get("nbf", moment)
    for claim in (expires_at, issued_at, not_before):
        if isinstance(claim, bool) or not isinstance(claim, (int, float)) or not abs(claim) < 1e12:
            raise BadAssertion("has no exp, or one that is no time")
    if expires_at <= moment - skew:  # type: ignore[operator]
        raise BadAssertion("expired")
    if expires_at > moment + longest.total_seconds() + skew:  # type: ignore[operator]
        raise BadAssertion(f"is valid for longer than {longest.total_seconds():g} seconds")
    if not_before > moment + skew or issued_at > moment + skew:
        raise BadAssertion("is not valid yet")
