"""A caller whose token is bound to a key: what each call costs that has to be proven anew (RFC 9449)."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import deque
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from app.tokens.secrets import b64
from bench.load import Script, Task


class Holder:
    """A key, and proofs of it. The proofs of a round are signed before it begins."""

    def __init__(self, issuer: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._jwk: dict[str, Any] = jwt.get_algorithm_by_name("ES256").to_jwk(self._key.public_key(), as_dict=True)
        self._issuer = issuer
        self.proofs = deque[str]()

    def proof(self, path: str, token: str | None = None) -> str:
        claims = {"jti": secrets.token_hex(8), "htm": "POST", "htu": self._issuer + path, "iat": int(time.time())}
        if token is not None:
            claims["ath"] = b64(hashlib.sha256(token.encode()).digest())
        return jwt.encode(claims, self._key, "ES256", {"typ": "dpop+jwt", "jwk": self._jwk})

    def sign(self, how_many: int, token: str) -> None:
        self.proofs.clear()
        self.proofs.extend(self.proof("/mcp", token) for _ in range(how_many))

    def proven(self, request: bytes, proof: str) -> bytes:
        start, rest = request.split(b"\r\n", 1)
        return b"%s\r\nDPoP: %s\r\n%s" % (start, proof.encode(), rest)

    def calls(self, call: bytes) -> Task:
        """The same call, each time with the next proof, until there is none left."""

        def script(slot: int) -> Script:
            while self.proofs:
                yield self.proven(call, self.proofs.popleft())

        return Task(script, 200, b'"structuredContent"')
