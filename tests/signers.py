"""Parties that sign JWTs: a client with a key of its own, an identity provider, a holder of a DPoP key."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.websites import Website

PRIVATE: dict[str, Callable[[], Any]] = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "PS256": lambda: rsa.generate_private_key(65537, 2048),
}


@dataclass
class Signer:
    """A private key, and what it signs."""

    alg: str = "ES256"
    kid: str | None = field(default_factory=lambda: secrets.token_hex(4))
    private: Any = None

    def __post_init__(self) -> None:
        self.private = self.private or PRIVATE[self.alg]()

    @property
    def jwk(self) -> dict[str, Any]:
        """The public half."""
        public = jwt.get_algorithm_by_name(self.alg).to_jwk(self.private.public_key(), as_dict=True)
        public.pop("key_ops", None)
        return {**public, "use": "sig", "alg": self.alg} | ({"kid": self.kid} if self.kid else {})

    @property
    def pem(self) -> str:
        """The private half, for other people's libraries."""
        pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        written: bytes = self.private.private_bytes(serialization.Encoding.PEM, pkcs8, plain)
        return written.decode()

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        headers = {"kid": self.kid} | header
        return jwt.encode(
            {name: value for name, value in claims.items() if value is not None},
            self.private,
            self.alg,
            {name: value for name, value in headers.items() if value is not None},
        )

    def assertion(self, client_id: str, audience: Any, now: datetime, **changed: Any) -> str:
        """A client assertion (RFC 7523 §3)."""
        moment = int(now.timestamp())
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": audience,
            "iat": moment,
            "exp": moment + 60,
            "jti": secrets.token_hex(8),
        }
        return self.sign(claims | changed)


@dataclass
class Provider:
    """An identity provider that publishes its metadata and keys, and vouches for people."""

    website: Website
    path: str = ""
    signer: Signer = field(default_factory=Signer)

    def __post_init__(self) -> None:
        self.publish()

    @property
    def issuer(self) -> str:
        return self.website.url + self.path

    def publish(self, **changed: Any) -> None:
        """Its OpenID configuration, with these changes, and its key set."""
        jwks_uri = self.website.publish(f"{self.path}/keys", key_set(self.signer))
        metadata = {"issuer": self.issuer, "jwks_uri": jwks_uri} | changed
        self.website.publish(f"{self.path}/.well-known/openid-configuration", metadata)

    def claims(self, client_id: str, audience: str, now: datetime, /, **changed: Any) -> dict[str, Any]:
        """An ID-JAG about Ada, as a provider says it: for five minutes, for the MCP server at `audience`."""
        moment = int(now.timestamp())
        return {
            "iss": self.issuer,
            "sub": "U019488227",
            "email": "ada@example.com",
            "email_verified": True,
            "aud": audience,
            "resource": f"{audience}/mcp",
            "client_id": client_id,
            "scope": "read write",
            "iat": moment,
            "exp": moment + 300,
            "jti": secrets.token_hex(8),
        } | changed

    def id_jag(self, client_id: str, audience: str, now: datetime, /, **changed: Any) -> str:
        return self.signer.sign(self.claims(client_id, audience, now, **changed), typ="oauth-id-jag+jwt")


def key_set(*signers: Signer) -> bytes:
    return json.dumps({"keys": [signer.jwk for signer in signers]}).encode()
