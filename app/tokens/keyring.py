"""The signing keys as one immutable value, and as a JWK Set (RFC 7517, RFC 7638 for `kid`, RFC 7518 §3.3 and §3.4)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from app.protocol.metadata import ID_TOKEN_ALGORITHM
from app.tokens.secrets import Purpose, b64

ALGORITHM = "ES256"  # of access tokens
ALGORITHMS = (ALGORITHM, ID_TOKEN_ALGORITHM)
RSA_BITS = 2048  # RFC 7518 §3.3
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
JWKS_MAX_AGE = timedelta(seconds=300)
PUBLISHED_BEFORE = JWKS_MAX_AGE + timedelta(seconds=60)  # a new key is in every cache before it signs
MARGIN = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """One key: it signs from `signs_from` until a younger one does, and verifies until `verifies_until`."""

    kid: str
    private: PrivateKey
    created_at: datetime
    signs_from: datetime
    verifies_until: datetime | None
    algorithm: str = field(init=False)
    public: PublicKey = field(init=False)
    written: str = field(init=False)  # its JWK

    def __post_init__(self) -> None:
        on_a_curve = isinstance(self.private, ec.EllipticCurvePrivateKey)
        object.__setattr__(self, "algorithm", ALGORITHM if on_a_curve else ID_TOKEN_ALGORITHM)
        object.__setattr__(self, "public", self.private.public_key())
        object.__setattr__(self, "written", json.dumps(self.jwk(), separators=(",", ":")))

    def jwk(self) -> dict[str, str]:
        return {**_required_members(self.public), "kid": self.kid, "use": "sig", "alg": self.algorithm}

    def sealed(self, purpose: Purpose) -> bytes:
        der = self.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return purpose.seal(der, self.kid.encode())


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All keys that matter now. Replaced as a whole when they change."""

    keys: tuple[SigningKey, ...]

    def signer(self, now: datetime, algorithm: str = ALGORITHM) -> SigningKey:
        """The youngest key of this algorithm that may sign already; before any may, the first of all, which a replica has made
        whose clock is a moment ahead. Raises LookupError when there is none."""
        keys = [key for key in self.keys if key.algorithm == algorithm]
        if not keys:
            raise LookupError("no signing key")
        ready = [key for key in keys if key.signs_from <= now]
        return max(ready, key=lambda key: key.signs_from) if ready else min(keys, key=lambda key: key.signs_from)

    def state(self, key: SigningKey, now: datetime) -> str:
        """Where a key is on its way: upcoming, signing, verifying, gone."""
        if key.signs_from > now:
            return "upcoming"
        if key.kid == self.signer(now, key.algorithm).kid:
            return "signing"
        return "verifying" if key.verifies_until and key.verifies_until > now else "gone"

    def verifier(self, kid: str, now: datetime) -> ec.EllipticCurvePublicKey | None:
        """For access tokens only: a key that signs id_tokens is none."""
        for key in self.keys:
            if key.kid == kid and (key.verifies_until is None or now < key.verifies_until):
                return key.public if isinstance(key.public, ec.EllipticCurvePublicKey) else None
        return None

    def youngest(self, algorithm: str) -> SigningKey | None:
        """The last one made, whether it signs already or not."""
        return max(
            (key for key in self.keys if key.algorithm == algorithm), key=lambda key: key.signs_from, default=None
        )

    def jwks(self, now: datetime) -> bytes:
        """RFC 7517 §5, upcoming keys included."""
        live = [key for key in self.keys if key.verifies_until is None or now < key.verifies_until]
        return f'{{"keys":[{",".join(key.written for key in live)}]}}'.encode()


def new_key(algorithm: str, now: datetime, signs_from: datetime) -> SigningKey:
    """For RS256 this is a tenth of a second of work: not for the event loop."""
    private: PrivateKey = (
        ec.generate_private_key(ec.SECP256R1())
        if algorithm == ALGORITHM
        else rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    )
    return SigningKey(thumbprint(private.public_key()), private, now, signs_from, None)


def opened(sealed: bytes, kid: str, times: tuple[datetime, datetime, datetime | None], purpose: Purpose) -> SigningKey:
    """The key from its row; `times` are created, signs from, verifies until. Raises Unsealable."""
    der = purpose.open(sealed, kid.encode())
    # The seal says that these are the bytes we wrote; to prove the primes anew would hold up the loop for 35 ms.
    private = load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(private, PrivateKey)
    return SigningKey(kid, private, *times)


def thumbprint(public: PublicKey) -> str:
    """RFC 7638 §3: SHA-256 over the required members in lexicographic order."""
    canonical = json.dumps(_required_members(public), sort_keys=True, separators=(",", ":"))
    return b64(hashlib.sha256(canonical.encode()).digest())


def _required_members(public: PublicKey) -> dict[str, str]:
    """RFC 7638 §3.2."""
    if isinstance(public, rsa.RSAPublicKey):
        both = public.public_numbers()
        return {"e": _number(both.e), "kty": "RSA", "n": _number(both.n)}
    numbers = public.public_numbers()
    return {
        "crv": "P-256",
        "kty": "EC",
        "x": b64(numbers.x.to_bytes(32, "big")),
        "y": b64(numbers.y.to_bytes(32, "big")),
    }


def _number(value: int) -> str:
    """Base64urlUInt (RFC 7518 §2): no leading zero octets."""
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))
