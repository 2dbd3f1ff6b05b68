"""A passkey's keeper in software (WebAuthn §6): makes keys and signs as a real one would, or wrongly in one thing at a time."""

from __future__ import annotations

import hashlib
import html
import json
import re
import secrets
import struct
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from app.tokens.secrets import b64, unb64
from tests.actors import Browser, Page

UP, UV, BE, BS, AT = 0x01, 0x04, 0x08, 0x10, 0x40


def options(page: Page) -> dict[str, Any]:
    """What the page asks its browser for."""
    found = re.search(r'data-options="([^"]*)"', page.text)
    assert found, f"no passkey is asked for on {page.url}"
    asked: dict[str, Any] = json.loads(html.unescape(found[1]))
    return asked


@dataclass
class Authenticator:
    """One passkey, with knobs for what may be wrong with it."""

    origin: str
    algorithm: int = -7  # ES256, RS256 -257, EdDSA -8
    rp_id: str = "localhost"
    flags: int = UP | UV
    sign_count: int = 0
    steps: int = 1  # by which the counter grows; 0: it has none
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(20))
    user_handle: bytes = b""
    key: Any = None

    def __post_init__(self) -> None:
        makers: dict[int, Any] = {
            -7: lambda: ec.generate_private_key(ec.SECP256R1()),
            -257: lambda: rsa.generate_private_key(65537, 2048),
            -8: ed25519.Ed25519PrivateKey.generate,
        }
        self.key = makers[self.algorithm]()

    def create(self, asked: dict[str, Any], /, **changed: Any) -> str:
        """The answer to `navigator.credentials.create`."""
        self.user_handle = unb64(asked["user"]["id"])
        attested = bytes(16) + struct.pack(">H", len(self.credential_id)) + self.credential_id + self._cose()
        data = self._data(changed.get("rp_id", self.rp_id), changed.get("flags", self.flags) | AT) + attested
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        response = {
            "clientDataJSON": b64(self._client("webauthn.create", asked, changed)),
            "attestationObject": b64(attestation),
            "transports": ["internal", "hybrid", 7, "<b>"],
        }
        return self._credential(response)

    def get(self, asked: dict[str, Any], /, **changed: Any) -> str:
        """The answer to `navigator.credentials.get`."""
        self.sign_count = changed.get("sign_count", self.sign_count + self.steps)
        client = self._client("webauthn.get", asked, changed)
        data = self._data(changed.get("rp_id", self.rp_id), changed.get("flags", self.flags))
        signature = self._signed(data + hashlib.sha256(client).digest())
        response = {
            "clientDataJSON": b64(client),
            "authenticatorData": b64(data),
            "signature": b64(changed.get("signature", signature)),
        }
        handle = changed.get("user_handle", self.user_handle)
        return self._credential(response | ({"userHandle": b64(handle)} if handle else {}))

    def _credential(self, response: dict[str, Any]) -> str:
        name = b64(self.credential_id)
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": response})

    def _client(self, kind: str, asked: dict[str, Any], changed: dict[str, Any]) -> bytes:
        said = {"type": kind, "challenge": asked["challenge"], "origin": self.origin, "crossOrigin": False}
        return json.dumps(said | changed.get("client", {})).encode()

    def _data(self, rp_id: str, flags: int) -> bytes:
        return hashlib.sha256(rp_id.encode()).digest() + struct.pack(">BI", flags, self.sign_count)

    def _cose(self) -> bytes:
        public = self.key.public_key()
        if self.algorithm == -8:
            return cbor2.dumps({1: 1, 3: -8, -1: 6, -2: public.public_bytes_raw()})
        numbers = public.public_numbers()
        if self.algorithm == -257:
            return cbor2.dumps({1: 3, 3: -257, -1: numbers.n.to_bytes(256, "big"), -2: b"\1\0\1"})
        return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")})

    def _signed(self, message: bytes) -> bytes:
        if self.algorithm == -8:
            signature: bytes = self.key.sign(message)
        elif self.algorithm == -257:
            signature = self.key.sign(message, padding.PKCS1v15(), SHA256())
        else:
            signature = self.key.sign(message, ec.ECDSA(SHA256()))
        return signature


ADD = "/account/security/passkeys"


def add(browser: Browser, authenticator: Authenticator, name: str = "", /, **changed: Any) -> Page:
    """Somebody who is signed in makes a passkey."""
    page = browser.open(ADD)
    return answer(browser, ADD, page, authenticator.create(options(page), **changed), name=name)


def sign_in(browser: Browser, authenticator: Authenticator, page: Page | None = None, /, **changed: Any) -> Page:
    page = page or browser.open("/login")
    return answer(browser, "/login/passkey", page, authenticator.get(options(page), **changed))


def answer(browser: Browser, path: str, page: Page, credential: str, **fields: str) -> Page:
    """What the script of the page sends."""
    given = {name: page.field(name) for name in ("csrf", "challenge")} | fields
    if path == "/login/passkey":
        given["req"] = page.field("req")
    return browser.send(path, credential=credential, **given)
