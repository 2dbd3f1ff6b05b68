"""The signing keys as one immutable value, and as a JWK Set (RFC 7517, RFC 7638 for `kid`, RFC 7518 §3.4 for ES256)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from app.tokens.secrets import Purpose, b64

ALGORITHM = "ES256"
JWKS_MAX_AGE = timedelta(seconds=300)
PUBLISHED_BEFORE = JWKS_MAX_AGE + timedelta(seconds=60)  # a new key is in every cache before it signs
MARGIN = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """One key: it signs from `signs_from` until a younger one does, and verifies until `verifies_until`."""

    kid: str
    private: ec.EllipticCurvePrivateKey
    created_at: datetime
    signs_from: datetime
    verifies_until: datetime | None
    public: ec.EllipticCurvePublicKey = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "public", self.private.public_key())

    def jwk(self) -> dict[str, str]:
        return {**_required_members(self.public), "kid": self.kid, "use": "sig", "alg": ALGORITHM}

    def sealed(self, purpose: Purpose) -> bytes:
        der = self.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return purpose.seal(der, self.kid.encode())


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All keys that matter now. Replaced as a whole when they change."""

    keys: tuple[SigningKey, ...]

    def signer(self, now: datetime) -> SigningKey:
        """The youngest key that may sign already. Raises LookupError when there is none."""
        ready = [key for key in self.keys if key.signs_from <= now]
        if not ready:
            raise LookupError("no signing key")
        return max(ready, key=lambda key: key.signs_from)

    def verifier(self, kid: str, now: datetime) -> ec.EllipticCurvePublicKey | None:
        for key in self.keys:
            if key.kid == kid and (key.verifies_until is None or now < key.verifies_until):
                return key.public
        return None

    def jwks(self, now: datetime) -> bytes:
        """RFC 7517 §5, upcoming keys included."""
        live = [key.jwk() for key in self.keys if key.verifies_until is None or now < key.verifies_until]
        return json.dumps({"keys": live}, separators=(",", ":")).encode()


def new_key(now: datetime, signs_from: datetime) -> SigningKey:
    private = ec.generate_private_key(ec.SECP256R1())
    return SigningKey(thumbprint(private.public_key()), private, now, signs_from, None)


def opened(sealed: bytes, kid: str, times: tuple[datetime, datetime, datetime | None], purpose: Purpose) -> SigningKey:
    """The key from its row; `times` are created, signs from, verifies until. Raises Unsealable."""
    private = load_der_private_key(purpose.open(sealed, kid.encode()), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    return SigningKey(kid, private, *times)


def thumbprint(public: ec.EllipticCurvePublicKey) -> str:
    """RFC 7638 §3: SHA-256 over the required members in lexicographic order."""
    canonical = json.dumps(_required_members(public), sort_keys=True, separators=(",", ":"))
    return b64(hashlib.sha256(canonical.encode()).digest())


def _required_members(public: ec.EllipticCurvePublicKey) -> dict[str, str]:
    numbers = public.public_numbers()
    return {
        "crv": "P-256",
        "kty": "EC",
        "x": b64(numbers.x.to_bytes(32, "big")),
        "y": b64(numbers.y.to_bytes(32, "big")),
    }
