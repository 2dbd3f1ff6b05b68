"""A client as its file has it, over a real socket: discovery, registration, both pages, token, /mcp, refresh, and once again."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
import secrets
from typing import Any
from urllib.parse import urlencode

import httpx2

from tests.actors import Browser, Page, http
from tests.clients.data import Known, filled
from tests.conftest import House
from tests.signers import Signer

PORTS = itertools.count(49_500)
UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"  # RFC 7636 §4.1
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
VERSION, CAPABILITIES, PROGRAM = (
    f"io.modelcontextprotocol/{name}" for name in ("protocolVersion", "clientCapabilities", "clientInfo")
)


class Replay:
    """`client_id` and `signer`: of a stand-in for its document. Every step asserts what the client itself insists on."""

    def __init__(
        self, known: Known, house: House, browser: Browser, client_id: str | None = None, signer: Signer | None = None
    ) -> None:
        self.known, self.house, self.browser, self.signer = known, house, browser, signer
        self.words = {"mcp": f"{house.url}/mcp", "id": secrets.token_hex(6), "port": str(next(PORTS))}
        self.words["redirect"] = filled(known.redirect_uri, self.words)
        self.document_id = client_id or filled(known.client_id, self.words)
        self.client_id = ""
        self.client_secret: str | None = None
        self.came_with = "nothing"
        self.resource: dict[str, Any] = {}
        self.server: dict[str, Any] = {}
        self.tokens: dict[str, Any] = {}

    def everything(self) -> None:
        self.discover()
        self.introduce()
        self.connect(self.known.authorize)
        self.call_tools()
        self.let_it_expire()
        self.come_back()

    def send(self, method: str, place: str, url: str, **options: Any) -> httpx2.Response:
        """With the headers that the client sends there, and no others."""
        client = http()
        client.headers.clear()
        url = self.house.url + url if url.startswith("/") else url
        headers = {**self.known.headers.get(place, {}), **options.pop("headers", {})}
        if self.known.page:
            self._ask_first(client, method, url, headers)
            headers["Origin"] = self.known.page
        response = client.request(method, url, headers=headers, **options)
        if self.known.page:
            assert response.headers["access-control-allow-origin"] in ("*", self.known.page)
            assert "WWW-Authenticate" in response.headers["access-control-expose-headers"]
        return response

    def _ask_first(self, client: httpx2.Client, method: str, url: str, headers: dict[str, str]) -> None:
        """The preflight of a browser (Fetch §4.8): every header that is not on its list must be allowed by name."""
        named = [name.lower() for name in headers if name.lower() not in ("accept", "user-agent", "accept-language")]
        asked = {"Origin": str(self.known.page), "Access-Control-Request-Method": method}
        asked["Access-Control-Request-Headers"] = ",".join(sorted(named))
        answer = client.options(url, headers=asked)
        assert answer.is_success
        assert method in answer.headers["access-control-allow-methods"]
        allowed = answer.headers["access-control-allow-headers"].lower()
        assert set(named) <= {name.strip() for name in allowed.split(",")}

    def discover(self) -> None:
        for step in self.known.discovery:
            if step == "call":
                self._is_challenged(self.mcp(self.opening(), None))
                continue
            method, _, path = step.partition(" ")
            response = self.send(method, "look", path)
            if path == "/mcp":
                self._is_challenged(response)
                continue
            assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
            if "protected-resource" in path:
                self._knows_the_resource(response.json())
            else:
                self._knows_the_server(response.json())

    def _is_challenged(self, response: httpx2.Response) -> None:
        """Parsed as the Python SDK and Gemini CLI do, by name and quotes."""
        assert response.status_code == 401, response.text
        said = dict(re.findall(r'(\w+)="([^"]*)"', response.headers["www-authenticate"]))
        assert "error" not in said
        assert said["resource_metadata"] == f"{self.house.url}/.well-known/oauth-protected-resource/mcp"
        self.words["challenge"] = said["scope"]

    def _knows_the_resource(self, document: dict[str, Any]) -> None:
        assert document["resource"] == self.words["mcp"], "VS Code and Gemini CLI compare it with the address"
        assert "offline_access" not in document["scopes_supported"]
        self.resource = document
        self.words |= {"resource": document["resource"], "resource_scopes": " ".join(document["scopes_supported"])}

    def _knows_the_server(self, document: dict[str, Any]) -> None:
        assert document["issuer"] == (self.resource.get("authorization_servers") or [self.house.url])[0]
        assert "S256" in document["code_challenge_methods_supported"]
        assert None not in document.values(), "the TypeScript SDK breaks at a null"
        self.server = document
        self.words["server_scopes"] = " ".join(document["scopes_supported"])

    def introduce(self) -> None:
        """By its document where the server takes one and `none` is advertised beside it; else it registers."""
        takes = self.server["client_id_metadata_document_supported"]
        if self.document_id and takes and "none" in self.server["token_endpoint_auth_methods_supported"]:
            self.came_with, self.client_id = "document", self.document_id
            return
        self.came_with = "registration"
        body = filled(self.known.registration, self.words)
        response = self.send("POST", "register", self.server["registration_endpoint"], json=body)
        assert response.status_code == 201, response.text
        answer = response.json()
        assert None not in answer.values()
        assert "refresh_token" in answer["grant_types"], "ChatGPT takes no other answer"
        assert answer["redirect_uris"] == body["redirect_uris"]
        assert answer["client_name"] == body["client_name"]
        self.client_id, self.client_secret = answer["client_id"], answer.get("client_secret")
        assert (self.client_secret is not None) == self.authenticates.startswith("client_secret")
        assert re.fullmatch(r"[A-Za-z0-9_-]+", f"{self.client_id}{self.client_secret or ''}"), "sent as it is, by btoa"

    @property
    def authenticates(self) -> str:
        return self.known.authenticates[self.came_with]

    def connect(self, asked: dict[str, str]) -> None:
        """Through the pages to tokens."""
        self.words["redirect"] = redirect = filled(asked.get("redirect", self.known.redirect_uri), self.words)
        verifier = secrets.token_urlsafe(32)
        if self.known.verifier == "{128}":
            verifier = "".join(secrets.choice(UNRESERVED) for _ in range(124)) + "-._~"
        url, state = self.authorize_url(asked, redirect, verifier)
        if self.known.preflight:
            client = http()
            client.headers.clear()
            assert client.get(url, headers=self.known.preflight).status_code in (200, 302, 303, 307, 308)
        answer = self._through_the_pages(url, redirect).answer
        assert answer["state"] == state
        assert self.server["authorization_response_iss_parameter_supported"]
        assert answer["iss"] == self.server["issuer"], "Codex refuses the answer otherwise"
        fields = {"grant_type": "authorization_code", "code": answer["code"], "redirect_uri": redirect}
        self._is_given(self.token(fields | {"code_verifier": verifier} | filled(self.known.token, self.words)))

    def authorize_url(self, asked: dict[str, str], redirect: str, verifier: str) -> tuple[str, str]:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        state = secrets.token_urlsafe(16)
        parameters = {"response_type": "code", "client_id": self.client_id, "redirect_uri": redirect, "state": state}
        parameters |= {"code_challenge": challenge, "code_challenge_method": "S256"}
        parameters |= {name: filled(asked[name], self.words) for name in ("scope", "resource") if name in asked}
        return f"{self.server['authorization_endpoint']}?{urlencode(parameters)}", state

    def _through_the_pages(self, url: str, redirect: str) -> Page:
        page = self.browser.open(url)
        if "/login" in page.url:
            page = self.browser.sign_in(page)
        if "/consent" in page.url:
            name = filled(self.known.registration["client_name"], self.words)
            assert name.split(" (")[0] in page.text
            page = self.browser.decide(page)
        assert page.left_to is not None, page.text
        assert page.left_to.startswith(redirect), page.left_to
        return page

    def token(self, fields: dict[str, str]) -> httpx2.Response:
        """POST /token, with the client's own way to say who it is."""
        fields, headers = dict(fields), {}
        if "basic" in self.authenticates:
            basic = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
            headers["Authorization"] = f"Basic {basic}"
        if "client_id" in self.authenticates or "basic" not in self.authenticates:
            fields["client_id"] = self.client_id
        if self.authenticates == "client_secret_post":
            fields["client_secret"] = str(self.client_secret)
        if self.authenticates.startswith("private_key_jwt"):
            assert self.signer is not None
            now = self.house.clock()
            fields["client_assertion_type"] = JWT_BEARER
            fields["client_assertion"] = self.signer.assertion(self.client_id, self.server["issuer"], now)
        url = self.server.get("token_endpoint", "/token")  # before any discovery: the origin's
        return self.send("POST", "token", url, data=fields, headers=headers)

    def _is_given(self, response: httpx2.Response) -> None:
        assert response.status_code == 200, response.text
        assert response.headers["cache-control"] == "no-store"
        answer = response.json()
        assert answer["token_type"] == "Bearer"
        assert isinstance(answer["expires_in"], int)
        assert set(answer["scope"].split()) >= {"read", "write"}
        assert answer["refresh_token"] != self.tokens.get("refresh_token")
        self.tokens = answer

    def opening(self) -> dict[str, Any]:
        """The first message that it sends to /mcp."""
        if self.known.calls.get("probe") or self.known.calls["era"] == "stateless":
            return self.stateless("server/discover", self.known.calls.get("probe", 1))
        return self.initialize()

    def initialize(self) -> dict[str, Any]:
        calls = self.known.calls
        params = {"protocolVersion": calls["protocol"], "capabilities": {}, "clientInfo": calls["program"]}
        return {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}

    def stateless(self, method: str, number: Any, /, **params: Any) -> dict[str, Any]:
        meta = {VERSION: "2026-07-28", CAPABILITIES: {}, PROGRAM: self.known.calls["program"]}
        return {"jsonrpc": "2.0", "id": number, "method": method, "params": {**params, "_meta": meta}}

    def mcp(self, message: dict[str, Any], token: str | None, **headers: str) -> httpx2.Response:
        """One message, with the headers of its era."""
        params = message.get("params", {})
        sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): word for name, word in headers.items()}
        if "_meta" in params:
            sent |= {"MCP-Protocol-Version": params["_meta"][VERSION]}
        elif message["method"] != "initialize":
            sent |= {"MCP-Protocol-Version": self.known.calls["protocol"]}
        if "_meta" in params or self.known.calls.get("mirror"):
            sent |= {"Mcp-Method": message["method"]} | ({"Mcp-Name": params["name"]} if "name" in params else {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        return self.send("POST", "mcp", "/mcp", json=message, headers=sent)

    def whoami(self) -> httpx2.Response:
        token = self.tokens["access_token"]
        if self.known.calls["era"] == "stateless":
            return self.mcp(self.stateless("tools/call", 9, name="whoami", arguments={}), token)
        params = {"name": "whoami", "arguments": {}}
        return self.mcp({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": params}, token)

    def call_tools(self) -> None:
        token = self.tokens["access_token"]
        opened = self.mcp(self.opening(), token)
        assert opened.status_code == 200, opened.text
        assert opened.json()["id"] == self.opening()["id"]
        if self.known.calls["era"] == "stateless":
            assert "2026-07-28" in opened.json()["result"]["supportedVersions"]
            listed = self.mcp(self.stateless("tools/list", 3), token)
        else:
            self._shake_hands(token)
            listed = self.mcp({"jsonrpc": "2.0", "id": 3, "method": "tools/list", "params": {}}, token)
        assert "whoami" in {tool["name"] for tool in listed.json()["result"]["tools"]}
        assert self.whoami().json()["result"]["structuredContent"]["via"] == "authorization_code"

    def _shake_hands(self, token: str) -> None:
        answer = self.mcp(self.initialize(), token).json()["result"]
        assert answer["protocolVersion"] == self.known.calls["protocol"]
        assert self.mcp({"jsonrpc": "2.0", "method": "notifications/initialized"}, token).status_code == 202
        if self.known.calls.get("stream"):
            headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
            assert self.send("GET", "mcp", "/mcp", headers=headers).status_code == 405

    def let_it_expire(self) -> None:
        """An hour later it refreshes: by its own clock, or because it was refused."""
        self.house.turn_clock(seconds=3700)
        if self.known.refresh["after"] == "401":
            refused = self.whoami()
            assert refused.status_code == 401
            assert 'error="invalid_token"' in refused.headers["www-authenticate"]
        self.refresh()
        assert self.whoami().json()["result"]["structuredContent"]["via"] == "refresh_token"

    def refresh(self) -> None:
        fields = {name: filled(word, self.words) for name, word in self.known.refresh.items() if name != "after"}
        fields |= {"grant_type": "refresh_token", "refresh_token": self.tokens["refresh_token"]}
        self._is_given(self.token(fields))

    def come_back(self) -> None:
        """Started anew: another port, mostly under the client_id that it kept."""
        again = self.known.again
        self.words["port"] = str(next(PORTS))
        if again.get("refresh_before_discovery"):
            self.server = {}
            self.refresh()
        self.server, self.resource = {}, {}
        self.discover()
        if again.get("register"):
            self.introduce()
        self.connect(again)
        assert self.whoami().json()["result"]["structuredContent"]["via"] == "authorization_code"
