"""Whether an id_token holds: who signed it, for whom, when, and in answer to what (OIDC Core §3.1.3.7, §3.1.3.8, RFC 8725 §3)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.protocol.provider import Provider
from app.tokens.assertions import SKEW, BadAssertion, is_signed, unverified
from app.upstream.faults import Untrusted

MAX_SUBJECT = 255  # OIDC Core §2
TENANT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
HASHES = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}


@dataclass(frozen=True, slots=True)
class Expected:
    """What it must answer to. `issuer` is the one that its metadata name."""

    provider: Provider
    issuer: str
    nonce: str
    access_token: str
    now: datetime


def kid_of(id_token: object) -> object:
    """Which key to look for. Raises Untrusted for what is no JWT, or signed in a way that proves nothing."""
    return _read(id_token)[0].get("kid")


def checked(id_token: object, keys: Iterable[dict[str, Any]], expected: Expected) -> dict[str, Any]:
    """Its claims. Raises Untrusted."""
    header, claims = _read(id_token)
    if not is_signed(str(id_token), header, keys):
        raise Untrusted("its id_token is not signed with a key of its issuer")
    if claims.get("iss") != _issuer(claims, expected):
        raise Untrusted("its id_token is from another issuer")
    _check_audience(claims, expected.provider.client_id)
    _check_times(claims, expected.now)
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), expected.nonce.encode()):
        raise Untrusted("its id_token answers to another request (nonce)")
    _check_hash(header, claims, expected.access_token)
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT or not subject.isprintable():
        raise Untrusted("its id_token has no sub")
    return claims


def _read(id_token: object) -> tuple[dict[str, Any], dict[str, Any]]:
    if not isinstance(id_token, str):
        raise Untrusted("it sent no id_token")
    try:
        return unverified(id_token)
    except BadAssertion as fault:
        raise Untrusted(f"its id_token {fault}") from fault


def _issuer(claims: dict[str, Any], expected: Expected) -> str:
    """Byte for byte the one of the metadata; with the tenant in it where that is a template (Microsoft)."""
    template = expected.provider.issuer_template
    if not template or expected.issuer != template:
        return expected.issuer
    tenant = claims.get("tid")
    if not isinstance(tenant, str) or not TENANT.match(tenant):
        raise Untrusted("its id_token does not say of which tenant it is (tid)")
    return template.replace("{tenantid}", tenant)


def _check_audience(claims: dict[str, Any], client_id: str) -> None:
    audience = claims.get("aud")
    named = [audience] if isinstance(audience, str) else audience
    if not isinstance(named, list) or client_id not in named:
        raise Untrusted("its id_token is meant for another audience")
    party = claims.get("azp")
    if (len(named) > 1 or party is not None) and party != client_id:
        raise Untrusted("its id_token was issued to another client (azp)")


def _check_times(claims: dict[str, Any], now: datetime) -> None:
    moment, skew = now.timestamp(), SKEW.total_seconds()
    expires_at, issued_at, not_before = claims.get("exp"), claims.get("iat"), claims.get("nbf", moment)
    for claim in (expires_at, issued_at, not_before):
        if isinstance(claim, bool) or not isinstance(claim, (int, float)) or not abs(claim) < 1e12:
            raise Untrusted("its id_token does not say when it was issued, or until when it holds")
    if expires_at <= moment - skew:  # type: ignore[operator]
        raise Untrusted("its id_token expired")
    if issued_at > moment + skew or not_before > moment + skew:  # type: ignore[operator]
        raise Untrusted("its id_token is not valid yet")


def _check_hash(header: dict[str, Any], claims: dict[str, Any], access_token: str) -> None:
    """§3.1.3.8: `at_hash`, where it is there."""
    told, hashed = claims.get("at_hash"), HASHES.get(str(header.get("alg"))[-3:])
    if told is None or hashed is None:
        return
    digest = hashed(access_token.encode()).digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
    if not isinstance(told, str) or not hmac.compare_digest(told.encode(), half.encode()):
        raise Untrusted("its id_token came with another access token (at_hash)")
