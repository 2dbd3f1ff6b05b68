"""A service that people have accounts at: a real server on loopback, right in everything until a test breaks one thing."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from pydantic import SecretStr

from tests.actors import Browser, Page, http
from tests.conftest import House
from tests.doors import Listener, Reply
from tests.signers import Signer

CLIENT, SECRET = "gatehouse-client", "s3cret with signs: %/+"
JSON = {"Content-Type": "application/json"}
ADA = {"sub": "248289761001", "email": "ada@example.com", "email_verified": True, "name": "Ada Lovelace"}


def as_json(document: object, status: int = 200) -> Reply:
    return status, JSON, json.dumps(document).encode()


@dataclass
class Code:
    """What was asked for when it was given."""

    challenge: str | None
    redirect_uri: str
    scope: str
    nonce: str | None


@dataclass
class Upstream:
    """An OpenID provider with an API. `person` is who sits at its pages; `claims` are changes to the id_token; `replies` stand
    for whole answers, by path, `answers` for changes of the authorization response. `asked` are the requests, by path."""

    person: dict[str, Any] = field(default_factory=lambda: dict(ADA))
    claims: dict[str, Any] = field(default_factory=dict)
    replies: dict[str, Reply] = field(default_factory=dict)
    answers: dict[str, str | None] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    signer: Signer = field(default_factory=Signer)
    signs_with: Signer | None = None
    lifetime: int | None = 3600
    rotates: bool = True
    refreshes: bool = True
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    grants: Counter[str] = field(default_factory=Counter)
    revoked: list[str] = field(default_factory=list)
    codes: dict[str, Code] = field(default_factory=dict)
    refresh_tokens: dict[str, str] = field(default_factory=dict)
    access_tokens: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock: Callable[[], float] = time.time
        self.gate = threading.Event()  # shut: the token endpoint answers when it opens
        self.gate.set()
        self._server = Listener(("127.0.0.1", 0), _handler(self))
        self.url = f"http://localhost:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()

    def is_right_again(self) -> None:
        """As it was before any test."""
        fresh = Upstream.__new__(Upstream)
        for name, kind in Upstream.__dataclass_fields__.items():
            if name != "signer":
                setattr(self, name, kind.default_factory() if callable(kind.default_factory) else kind.default)
        del fresh
        self.gate.set()

    def definition(self, **changed: Any) -> dict[str, Any]:
        """As an operator writes it down."""
        return {"issuer": self.url, "client_id": CLIENT, "client_secret": SECRET, "title": "Acme"} | changed

    # What it answers ------------------------------------------------------------------------------------------------

    def reply(self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> Reply:
        fields = {name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}
        self.asked.append((path, query | fields))
        if path in self.replies:
            return self.replies[path]
        if path == "/.well-known/openid-configuration":
            return as_json(self._metadata())
        if path == "/keys":
            return as_json({"keys": [self.signer.jwk]})
        if path == "/authorize":
            return self._authorize(query)
        if path == "/token":
            self.gate.wait(20)
            return self._token(headers, fields)
        if path == "/revoke":
            self.revoked.append(fields["token"])
            self.refresh_tokens.pop(fields["token"], None)
            return as_json({})
        if path == "/userinfo":
            return self._userinfo(headers)
        return as_json({"error": "not_found"}, 404)

    def _metadata(self) -> dict[str, Any]:
        found = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "revocation_endpoint": f"{self.url}/revoke",
            "jwks_uri": f"{self.url}/keys",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        } | self.metadata
        return {name: value for name, value in found.items() if value is not None}

    def _authorize(self, query: dict[str, str]) -> Reply:
        """Its user has signed in long ago, and says yes."""
        code = secrets.token_urlsafe(16)
        self.codes[code] = Code(
            query.get("code_challenge"), query["redirect_uri"], query.get("scope", ""), query.get("nonce")
        )
        answer = {"code": code, "state": query["state"], "iss": self.url} | self.answers
        told = urlencode({name: value for name, value in answer.items() if value is not None})
        return 302, {"Location": f"{query['redirect_uri']}?{told}"}, b""

    def _token(self, headers: dict[str, str], fields: dict[str, str]) -> Reply:
        if not _is_client(headers):
            return as_json({"error": "invalid_client"}, 401)
        self.grants[fields["grant_type"]] += 1
        if fields["grant_type"] == "refresh_token":
            scope = self.refresh_tokens.get(fields["refresh_token"])
            if scope is None:
                return as_json({"error": "invalid_grant", "error_description": "it was revoked"}, 400)
            if self.rotates:
                del self.refresh_tokens[fields["refresh_token"]]
            return as_json(self._tokens(scope))
        code = self.codes.pop(fields["code"], None)
        if code is None or code.redirect_uri != fields["redirect_uri"] or not _fits(code, fields):
            return as_json({"error": "invalid_grant", "error_description": "unknown code, or another verifier"}, 400)
        answer = self._tokens(code.scope)
        if "openid" in code.scope.split():
            answer["id_token"] = self._id_token(code)
        return as_json(answer)

    def _tokens(self, scope: str) -> dict[str, Any]:
        access, renewing = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
        self.access_tokens[access] = scope
        answer: dict[str, Any] = {"access_token": access, "token_type": "Bearer", "scope": scope}
        if self.lifetime is not None:
            answer["expires_in"] = self.lifetime
        if self.refreshes:
            self.refresh_tokens[renewing] = scope
            answer["refresh_token"] = renewing
        return answer

    def _id_token(self, code: Code) -> str:
        now = int(self.clock())
        claims = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": code.nonce} | self.person
        return (self.signs_with or self.signer).sign(claims | self.claims)

    def _userinfo(self, headers: dict[str, str]) -> Reply:
        scope = self.access_tokens.get(headers.get("authorization", "").removeprefix("Bearer "))
        if scope is None:
            return as_json({"error": "invalid_token"}, 401)
        hidden = set() if "email" in scope.split() else {"email", "email_verified"}
        return as_json({name: value for name, value in self.person.items() if name not in hidden})


def _is_client(headers: dict[str, str]) -> bool:
    """RFC 6749 §2.3.1: form-encoded, then in Basic."""
    sent = headers.get("authorization", "").removeprefix("Basic ")
    client_id, _, secret = base64.b64decode(sent).decode().partition(":")
    return (unquote(client_id), unquote(secret)) == (CLIENT, SECRET)


def _fits(code: Code, fields: dict[str, str]) -> bool:
    digest = hashlib.sha256(fields.get("code_verifier", "").encode()).digest()
    return code.challenge in (None, base64.urlsafe_b64encode(digest).rstrip(b"=").decode())


def _handler(upstream: Upstream) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, given, answer = upstream.reply(self.command, parts.path, query, headers, body)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(answer)), **given}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_DELETE = _any

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    return Handler


def house_with(dsn: str, definitions: dict[str, Any], **options: Any) -> House:
    return House(dsn, providers=SecretStr(json.dumps(definitions)), **options)


def sent_to(browser: Browser, provider: str = "acme", page: Page | None = None) -> str:
    """Presses the button of the provider on the sign-in page; the address that the browser is sent to."""
    page = page or browser.open("/login")
    left = browser.send("/login/provider", csrf=page.field("csrf"), req=page.field("req"), provider=provider)
    assert left.left_to, left.text
    return left.left_to


def answered(url: str) -> str:
    """What the service sends the browser back to, when its user says yes."""
    response = http().get(url)
    assert response.status_code == 302, response.text
    return str(response.headers["location"])


def signs_in(browser: Browser, provider: str = "acme", page: Page | None = None) -> Page:
    """There and back."""
    return browser.open(answered(sent_to(browser, provider, page)))
