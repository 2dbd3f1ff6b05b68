"""Compact JWS by ES256, for what is signed at every request (RFC 7515 §3.1, RFC 7518 §3.4).

PyJWT checks all of them, and writes the others. For these it takes two thirds as long again as the signature itself.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from functools import lru_cache
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from pydantic_core import from_json, to_json

from app.tokens.keyring import ALGORITHM, SigningKey
from app.tokens.secrets import b64

HALF = 32  # bytes of each of the two numbers on P-256
HOW = ECDSA(SHA256())


def signed(claims: dict[str, Any], key: SigningKey, type: str) -> str:
    """`key` is one of ours on P-256; `type` goes into the header, beside `alg` and `kid`."""
    message = f"{_header(type, key.kid)}.{b64(to_json(claims))}"
    r, s = decode_dss_signature(cast(EllipticCurvePrivateKey, key.private).sign(message.encode(), HOW))
    return f"{message}.{b64(r.to_bytes(HALF, 'big') + s.to_bytes(HALF, 'big'))}"


def header(token: str) -> dict[str, Any]:
    """What it says of itself, from which the key is found that it is then checked with. Raises ValueError.

    PyJWT would read all of the token for that, and all of it again to check it.
    """
    said = from_json(urlsafe_b64decode(token.partition(".")[0] + "=="))
    if not isinstance(said, dict):
        raise ValueError("the header is no object")
    return said


@lru_cache(maxsize=64)
def _header(type: str, kid: str) -> str:
    return b64(to_json({"alg": ALGORITHM, "kid": kid, "typ": type}))
