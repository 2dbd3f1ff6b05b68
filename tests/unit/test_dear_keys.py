"""Public keys of strangers, which are looked at for nothing: none may make that dear (RFC 7518 §6.3.1)."""

from __future__ import annotations

import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from app.tokens.assertions import signed_by

KEY = rsa.generate_private_key(65537, 2048)
SIGNED = jwt.encode({"sub": "x"}, KEY, "RS256")
JWK = json.loads(jwt.get_algorithm_by_name("RS256").to_jwk(KEY.public_key()))
LONG = "A" * 340 + JWK["e"]  # the same number, written as long as a modulus


def test_an_ordinary_key() -> None:
    assert signed_by(SIGNED, {"alg": "RS256"}, JWK)


@pytest.mark.parametrize(
    "dear", [{"e": LONG}, {"n": "A" * 1400 + JWK["n"]}, {"e": 65537}, {"n": None}, {"e": ["AQAB"]}]
)
def test_a_key_that_is_dear_to_look_at_is_none(dear: dict[str, object]) -> None:
    assert not signed_by(SIGNED, {"alg": "RS256"}, JWK | dear)
