"""The only place that signs access tokens (RFC 9068 §2.2) and writes the token answer (RFC 6749 §5.1)."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

import jwt

from app.protocol.types import Authorization
from app.tokens.keyring import ALGORITHM, KeyRing
from app.tokens.refresh import RefreshToken, written
from app.tokens.secrets import Secrets

TYPE = "at+jwt"


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
    key = ring.signer(now)
    return jwt.encode(claims, key.private, ALGORITHM, {"typ": TYPE, "kid": key.kid})


def issue(
    authorization: Authorization, ring: KeyRing, secrets: Secrets, issuer: str, *, now: datetime, lifetime: int
) -> dict[str, Any]:
    """The answer of the token endpoint (RFC 6749 §5.1), with a refresh token where the authorization has a counter."""
    answer: dict[str, Any] = {
        "access_token": access_token(authorization, ring, issuer, now=now, lifetime=lifetime),
        "token_type": "Bearer",
        "expires_in": lifetime,
        "scope": " ".join(authorization.scope),
    }
    if authorization.connection_id is not None and authorization.refresh_counter is not None:
        token = RefreshToken(authorization.connection_id, authorization.refresh_counter)
        answer["refresh_token"] = written(token, secrets.refresh)
    return answer
