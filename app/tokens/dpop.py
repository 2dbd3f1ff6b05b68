"""DPoP proofs: a JWT that the sender signed for this one request, with a key that it holds (RFC 9449 §4). Pure, no I/O."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from app.tokens.assertions import BadAssertion, signed_by, unverified
from app.tokens.secrets import b64

TYPE = "dpop+jwt"
WINDOW = timedelta(seconds=60)  # how far `iat` may be from our clock, either way (§11.1)
MAX_LENGTH = 4096
MEMBERS = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n"), "OKP": ("crv", "kty", "x")}  # RFC 7638 §3.2
PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proof:
    """What a good proof says: the thumbprint of its key (RFC 7638), and what makes it usable once."""

    jkt: str
    jti: str
    nonce: str | None
    made_at: datetime


def checked(proof: str, method: str, urls: frozenset[str], now: datetime, access_token: str | None = None) -> Proof:
    """§4.3, but for the `nonce` and for whether it was used before. `urls` as `normal` writes them. Raises BadAssertion."""
    if len(proof) > MAX_LENGTH:
        raise BadAssertion(f"is longer than {MAX_LENGTH} characters")
    header, claims = unverified(proof)
    if str(header.get("typ", "")).lower() != TYPE:
        raise BadAssertion(f"is not of type {TYPE}")
    jwk = header.get("jwk")
    if not isinstance(jwk, dict) or jwk.get("kty") not in MEMBERS or not PRIVATE.isdisjoint(jwk):
        raise BadAssertion("has no public key in jwk")
    if not signed_by(proof, header, jwk):
        raise BadAssertion("is not signed with the key in jwk")
    if claims.get("htm") != method:
        raise BadAssertion("is for another method (htm)")
    if normal(claims.get("htu")) not in urls:
        raise BadAssertion("is for another address (htu)")
    _check_time(claims.get("iat"), now)
    jti, nonce = claims.get("jti"), claims.get("nonce")
    if not isinstance(jti, str) or not 0 < len(jti) <= 500:
        raise BadAssertion("has no jti")
    if access_token is not None and claims.get("ath") != hash_of(access_token):
        raise BadAssertion("is for another access token (ath)")
    made_at = datetime.fromtimestamp(claims["iat"], now.tzinfo)
    return Proof(thumbprint(jwk), jti, nonce if isinstance(nonce, str) else None, made_at)


def normal(url: object) -> str | None:
    """Without query and fragment, with scheme and host in lower case and no default port (§4.3, RFC 3986 §6.2)."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in PORTS or not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    suffix = "" if port in (None, PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{host}{suffix}{parts.path or '/'}"


def thumbprint(jwk: dict[str, Any]) -> str:
    """RFC 7638 §3."""
    members = {name: jwk.get(name) for name in MEMBERS[jwk["kty"]]}
    return b64(hashlib.sha256(json.dumps(members, separators=(",", ":"), sort_keys=True).encode()).digest())


def is_thumbprint(text: str) -> bool:
    return len(text) == 43 and all(c.isascii() and (c.isalnum() or c in "-_") for c in text)


def hash_of(access_token: str) -> str:
    """`ath` (§4.2)."""
    return b64(hashlib.sha256(access_token.encode("latin-1")).digest())


def _check_time(issued_at: object, now: datetime) -> None:
    if isinstance(issued_at, bool) or not isinstance(issued_at, (int, float)) or not abs(issued_at) < 1e12:
        raise BadAssertion("has no iat")
    away = issued_at - now.timestamp()
    if abs(away) > WINDOW.total_seconds():
        raise BadAssertion(f"was made {abs(away):.0f} s {'ahead of' if away > 0 else 'before'} our clock (iat)")
