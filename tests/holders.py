"""An app that holds a key, and proves it with every request (RFC 9449)."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.actors import App, Browser
from tests.conftest import House
from tests.signers import Signer

WHOAMI = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "whoami", "arguments": {}}}


def hashed(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@dataclass
class Holder:
    """An app with a key."""

    app: App
    house: House
    signer: Signer = field(default_factory=Signer)

    @property
    def jwk(self) -> dict[str, Any]:
        return {name: value for name, value in self.signer.jwk.items() if name in ("kty", "crv", "x", "y", "n", "e")}

    @property
    def jkt(self) -> str:
        return hashed(json.dumps(self.jwk, sort_keys=True, separators=(",", ":")))

    def proof(self, method: str, path: str, token: str | None = None, /, **changed: Any) -> str:
        header = {"typ": "dpop+jwt", "jwk": self.jwk, "kid": None} | changed.pop("header", {})
        claims = {
            "jti": secrets.token_hex(8),
            "htm": method,
            "htu": self.app.url + path,
            "iat": int(self.house.clock().timestamp()),
            "ath": None if token is None else hashed(token),
        }
        return self.signer.sign(claims | changed, **header)

    def redeem(self, code: str, proof: str | None = None, /, **changed: str | None) -> httpx2.Response:
        fields: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.app.redirect_uri,
            "code_verifier": self.app.code_verifier,
        }
        return self.app.token({"DPoP": proof or self.proof("POST", "/token")}, **fields | changed)

    def refresh(self, token: str, proof: str | None = None) -> httpx2.Response:
        headers = {"DPoP": proof or self.proof("POST", "/token")}
        return self.app.token(headers, grant_type="refresh_token", refresh_token=token)

    def tokens(self, browser: Browser, **asked: str | None) -> dict[str, Any]:
        response = self.redeem(self.app.code(browser, **asked))
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def call(self, token: str, proof: str | None = None, scheme: str = "DPoP", **headers: str) -> httpx2.Response:
        sent = {"Authorization": f"{scheme} {token}", "DPoP": proof or self.proof("POST", "/mcp", token)} | headers
        return self.app.mcp(WHOAMI, None, {name: value for name, value in sent.items() if value})
