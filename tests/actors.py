"""Who takes part in the stories, speaking nothing but HTTP: a browser with a person at it, and an OAuth app."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import secrets
import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx2

PASSWORD = "four words make one"

TRUST = ssl.create_default_context()  # made once: reading the authorities takes 20 ms
OPENED: list[httpx2.Client] = []  # closed after each test
CALLBACK = "http://127.0.0.1:3030/callback"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


def http(**options: Any) -> httpx2.Client:
    """A client with its own cookies and connections."""
    OPENED.append(httpx2.Client(timeout=30, verify=options.pop("verify", TRUST), **options))
    return OPENED[-1]


@dataclass
class Page:
    """Where the browser is: a page, or the redirect that leads away to an app."""

    url: str
    status: int
    text: str
    headers: httpx2.Headers
    left_to: str | None = None

    def field(self, name: str) -> str:
        found = re.search(rf'name="{name}" value="([^"]*)"', self.text)
        assert found, f"no field {name} on {self.url}:\n{self.text}"
        return html.unescape(found[1])

    @property
    def answer(self) -> dict[str, str]:
        """The parameters that the app is given, each exactly once."""
        assert self.left_to, f"still at {self.url} ({self.status}):\n{self.text}"
        parameters = parse_qs(urlsplit(self.left_to).query, keep_blank_values=True)
        assert all(len(values) == 1 for values in parameters.values())
        return {name: values[0] for name, values in parameters.items()}


class Browser:
    """Follows redirects as far as the house goes, keeps cookies, fills in forms."""

    def __init__(self, url: str, **options: Any) -> None:
        self.url = url
        self.http = http(**options)

    def open(self, url: str) -> Page:
        return self._go("GET", urljoin(self.url, url))

    def send(self, path: str, headers: dict[str, str] | None = None, /, **fields: str) -> Page:
        return self._go("POST", urljoin(self.url, path), data=fields, headers=headers)

    def _go(self, method: str, url: str, **options: Any) -> Page:
        for _ in range(10):
            response = self.http.request(method, url, **options)
            location = response.headers.get("location")
            if location is None:
                return Page(url, response.status_code, response.text, response.headers)
            assert response.status_code in (302, 303), "a form must not be sent on"
            method, options, url = "GET", {}, urljoin(url, location)
            if not url.startswith(self.url + "/"):
                return Page(self.url, response.status_code, response.text, response.headers, left_to=location)
        raise AssertionError("redirected in circles")

    def sign_in(self, page: Page | None = None, email: str = "ada@example.com", password: str = PASSWORD) -> Page:
        page = page or self.open("/login")
        return self.send("/login", csrf=page.field("csrf"), req=page.field("req"), email=email, password=password)

    def decide(self, page: Page, decision: str = "allow") -> Page:
        return self.send("/consent", csrf=page.field("csrf"), req=page.field("req"), decision=decision)


@dataclass
class App:
    """An OAuth client that does everything right, unless a test tells it otherwise."""

    url: str
    redirect_uri: str = CALLBACK
    client_id: str = ""
    client_secret: str | None = None
    code_verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    http: httpx2.Client = field(default_factory=http)
    path: str = "/mcp"  # of the resource that it calls

    def register(self, **metadata: Any) -> dict[str, Any]:
        document = {"redirect_uris": [self.redirect_uri], "token_endpoint_auth_method": "none", "client_name": "Quill"}
        response = self.http.post(f"{self.url}/register", json=document | metadata)
        assert response.status_code == 201, response.text
        answer: dict[str, Any] = response.json()
        self.client_id, self.client_secret = answer["client_id"], answer.get("client_secret")
        return answer

    @property
    def code_challenge(self) -> str:
        digest = hashlib.sha256(self.code_verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def authorize_url(self, **changed: str | None) -> str:
        parameters = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "code_challenge": self.code_challenge,
            "code_challenge_method": "S256",
            "state": "xyz",
        } | changed
        return f"{self.url}/authorize?" + urlencode({k: v for k, v in parameters.items() if v is not None})

    def code(self, browser: Browser, **changed: str | None) -> str:
        """Through sign-in and consent, as far as they are asked for, to a code."""
        page = browser.open(self.authorize_url(**changed))
        if "/login" in page.url:
            page = browser.sign_in(page)
        if "/consent" in page.url:
            page = browser.decide(page)
        return page.answer["code"]

    def token(self, headers: dict[str, str] | None = None, /, **fields: str | None) -> httpx2.Response:
        data = {"client_id": self.client_id, "client_secret": self.client_secret} | fields
        return self.http.post(
            f"{self.url}/token", data={k: v for k, v in data.items() if v is not None}, headers=headers
        )

    def redeem(self, code: str, /, **changed: str | None) -> httpx2.Response:
        fields: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": self.code_verifier,
        }
        return self.token(**fields | changed)

    def refresh(self, refresh_token: str, /, **changed: str | None) -> httpx2.Response:
        fields: dict[str, str | None] = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return self.token(**fields | changed)

    def connect(self, browser: Browser, **changed: str | None) -> dict[str, Any]:
        """All the way to tokens."""
        response = self.redeem(self.code(browser, **changed))
        assert response.status_code == 200, response.text
        tokens: dict[str, Any] = response.json()
        return tokens

    def call(
        self, tool: str, token: str | None, headers: dict[str, str] | None = None, **arguments: Any
    ) -> httpx2.Response:
        """A legacy-era tools/call; see `modern` for the newer one."""
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
        return self.mcp(message, token, headers)

    def mcp(self, message: Any, token: str | None, headers: dict[str, str] | None = None) -> httpx2.Response:
        sent = {"Accept": "application/json, text/event-stream"} | (headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if isinstance(message, (str, bytes)):
            return self.http.post(
                f"{self.url}{self.path}", content=message, headers={"Content-Type": "application/json"} | sent
            )
        return self.http.post(f"{self.url}{self.path}", json=message, headers=sent)

    def modern(
        self, method: str, token: str, name: str | None = None, headers: dict[str, str] | None = None, **params: Any
    ) -> httpx2.Response:
        """A 2026-07-28 request: per-request metadata, mirrored headers."""
        version = "2026-07-28"
        meta = {"io.modelcontextprotocol/protocolVersion": version, "io.modelcontextprotocol/clientCapabilities": {}}
        sent = {"MCP-Protocol-Version": version, "Mcp-Method": method}
        if name is not None:
            sent["Mcp-Name"] = name
            params["name"] = name
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params | {"_meta": meta}}
        return self.mcp(message, token, sent | (headers or {}))


def said(answer: httpx2.Response) -> dict[str, Any]:
    """The JSON-RPC message that answers the request, alone or at the end of a stream of events."""
    kind = answer.headers["content-type"].split(";")[0]
    if kind == "application/json":
        message: dict[str, Any] = answer.json()
        return message
    assert kind == "text/event-stream", answer.text
    data = [line[5:].strip() for line in answer.text.splitlines() if line.startswith("data:")]
    message = json.loads(data[-1])
    return message


@dataclass
class Device:
    """Something without a browser, with an app on it and a code on its screen."""

    app: App
    device_code: str
    user_code: str
    complete: str

    @staticmethod
    def of(app: App, **asked: str) -> Device:
        """The app, registered for this grant, asks for a code."""
        app.register(grant_types=[DEVICE_CODE], redirect_uris=[])
        answer = device_authorization(app, **asked)
        assert answer.status_code == 200, answer.text
        codes = answer.json()
        return Device(app, codes["device_code"], codes["user_code"], codes["verification_uri_complete"])

    def poll(self, **changed: str | None) -> httpx2.Response:
        fields: dict[str, str | None] = {"grant_type": DEVICE_CODE, "device_code": self.device_code}
        return self.app.token(**fields | changed)

    def word(self) -> str:
        """What a poll is refused with."""
        error: str = self.poll().json()["error"]
        return error

    def entered(self, browser: Browser, typed: str | None = None) -> Page:
        """A person opens /device, signs in when asked, types the code."""
        page = browser.open("/device")
        if "/login" in page.url:
            page = browser.sign_in(page)
        return browser.send("/device", csrf=page.field("csrf"), user_code=typed or self.user_code)

    def decide(self, browser: Browser, decision: str = "allow") -> Page:
        page = self.entered(browser)
        fields = {name: page.field(name) for name in ("csrf", "entered")}
        return browser.send("/device/decision", decision=decision, **fields)


def device_authorization(app: App, **fields: str | None) -> httpx2.Response:
    data = {"client_id": app.client_id, "client_secret": app.client_secret} | fields
    return app.http.post(f"{app.url}/device_authorization", data={k: v for k, v in data.items() if v is not None})
