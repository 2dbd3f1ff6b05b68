"""The only place that signs tokens: for clients (RFC 9068 §2.2, OIDC Core §2) with their answer (RFC 6749 §5.1), and for backends."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import Any

import jwt

from app.protocol.claims import claims_of
from app.protocol.metadata import ID_TOKEN_ALGORITHM
from app.protocol.scope import OPENID
from app.protocol.token_types import ACCESS_TOKEN
from app.protocol.types import Authorization, Principal, SignIn
from app.tokens import jws
from app.tokens.keyring import KeyRing, PrivateKey
from app.tokens.refresh import RefreshToken, written
from app.tokens.secrets import Secrets, b64

TYPE = "at+jwt"
RECEIPT_TYPE = "receipt+jwt"  # never accepted as a token
IDENTITY_TYPE = (
    "identity+jwt"  # RFC 8725 §3.11: neither an access token nor an id_token can stand in for it, nor it for them
)


def access_token(authorization: Authorization, ring: KeyRing, issuer: str, *, now: datetime, lifetime: int) -> str:
    """A signed JWT for one resource, valid for `lifetime` seconds. `scopes` and `kid` are the seed's spellings."""
    issued_at = int(now.timestamp())
    claims: dict[str, Any] = {
        "iss": issuer,
        "sub": authorization.subject,
        "aud": authorization.resource,
        "client_id": authorization.client_id,
        "iat": issued_at,
        "exp": issued_at + lifetime,
        "jti": secrets.token_urlsafe(16),
        "scope": " ".join(authorization.scope),
        "via": authorization.via,
    }
    if authorization.connection_id is not None:
        claims["connection"] = authorization.connection_id
    if authorization.key_id is not None:
        claims |= {"kid": authorization.key_id, "scopes": list(authorization.scope)}
    if authorization.jkt is not None:
        claims["cnf"] = {"jkt": authorization.jkt}  # RFC 9449 §6.1
    if authorization.exchanged is not None:
        claims["exchanged"] = {
            "handles": list(authorization.exchanged.handles),
            "iat": authorization.exchanged.issued_at,
        }
    return jws.signed(claims, ring.signer(now), TYPE)


def id_token(
    authorization: Authorization,
    sign_in: SignIn,
    access_token: str,
    ring: KeyRing,
    issuer: str,
    *,
    now: datetime,
    lifetime: int,
) -> str:
    """For the client to read, and for nobody to accept: type JWT, another key and audience than an access token."""
    issued_at = int(now.timestamp())
    claims: dict[str, Any] = {
        "iss": issuer,
        "aud": authorization.client_id,
        "iat": issued_at,
        "exp": issued_at + lifetime,
        "at_hash": b64(hashlib.sha256(access_token.encode()).digest()[:16]),  # OIDC Core §3.1.3.6: the left half
        **claims_of(sign_in.person, authorization.scope),
    }
    if sign_in.authenticated_at is not None:
        claims["auth_time"] = int(sign_in.authenticated_at.timestamp())
    if sign_in.nonce is not None:
        claims["nonce"] = sign_in.nonce
    key = ring.signer(now, ID_TOKEN_ALGORITHM)
    return jwt.encode(claims, key.private, ID_TOKEN_ALGORITHM, {"typ": "JWT", "kid": key.kid})


def receipt(claims: dict[str, Any], ring: KeyRing, issuer: str, *, now: datetime) -> str:
    """What somebody paid for, signed so that they can show it to anybody who has our published keys (RFC 7515)."""
    said = {"iss": issuer, "iat": int(now.timestamp()), "jti": secrets.token_urlsafe(16), **claims}
    return jws.signed(said, ring.signer(now), RECEIPT_TYPE)


def identity_token(
    principal: Principal,
    audience: str,
    issuer: str,
    key: PrivateKey | bytes,
    algorithm: str,
    kid: str | None,
    *,
    now: datetime,
    lifetime: int,
) -> str:
    """Who calls, for the server behind a resource and for nobody else, valid for `lifetime` seconds and no longer than the
    caller's own token. `key` is one of ours, or a secret shared with that server, which has no `kid`."""
    issued_at = int(now.timestamp())
    claims: dict[str, Any] = {
        "iss": issuer,
        "sub": principal.subject,
        "aud": audience,
        "client_id": principal.client_id,
        "scope": " ".join(sorted(principal.scope)),
        "via": principal.via,
        "iat": issued_at,
        "exp": max(issued_at + 1, min(issued_at + lifetime, principal.expires_at)),
        "jti": secrets.token_urlsafe(16),
    }
    return jwt.encode(claims, key, algorithm, {"typ": IDENTITY_TYPE} | ({} if kid is None else {"kid": kid}))


def issue(
    authorization: Authorization, ring: KeyRing, secrets: Secrets, issuer: str, *, now: datetime, lifetime: int
) -> dict[str, Any]:
    """The answer of the token endpoint (RFC 6749 §5.1), with a refresh token where the authorization has a counter, and
    an id_token where somebody signed in and `openid` was allowed (OIDC Core §3.1.3.3, §12.2)."""
    if authorization.expires_at is not None:
        lifetime = min(lifetime, max(1, int((authorization.expires_at - now).total_seconds())))
    signed = access_token(authorization, ring, issuer, now=now, lifetime=lifetime)
    answer: dict[str, Any] = {
        "access_token": signed,
        "token_type": "Bearer" if authorization.jkt is None else "DPoP",
        "expires_in": lifetime,
        "scope": " ".join(authorization.scope),
    }
    if authorization.connection_id is not None and authorization.refresh_counter is not None:
        token = RefreshToken(authorization.connection_id, authorization.refresh_counter)
        answer["refresh_token"] = written(token, secrets.refresh)
    if authorization.exchanged is not None:
        answer["issued_token_type"] = ACCESS_TOKEN  # RFC 8693 §2.2.1
    sign_in = authorization.sign_in
    if sign_in is not None and OPENID in authorization.scope:
        answer["id_token"] = id_token(authorization, sign_in, signed, ring, issuer, now=now, lifetime=lifetime)
    return answer
