"""docs/elsewhere.md at the proxy: nginx and Caddy ask a real server, and a caller tries to be somebody else."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from mcp.client.auth import OAuthClientProvider
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.auth import OAuthClientMetadata
from pydantic import AnyUrl

from app.cli.running import OPTIONS
from bench.servers import free_port
from tests.actors import CALLBACK, App, Browser, http
from tests.conftest import House
from tests.documented import block, resources, signed
from tests.doors import certificate
from tests.holders import Holder
from tests.referees.test_mcp_sdk import Memory, Person
from tests.referees.test_proxies import program, running

NAMES = ("subject", "client", "scope", "resource", "via")
EACH = pytest.mark.parametrize("place", ["nginx", "caddy"], indirect=True)


class Inside(ThreadingHTTPServer):
    """The server behind the proxy: says what it was sent, and remembers it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Echo)
        self.seen: list[dict[str, list[str]]] = []
        self.status = 200
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


class Echo(BaseHTTPRequestHandler):
    server: Inside

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        headers: dict[str, list[str]] = {}
        for name, value in self.headers.items():
            headers.setdefault(name.lower(), []).append(value)
        self.server.seen.append(headers)
        said = json.dumps({"method": self.command, "path": self.path, "body": body, "headers": headers}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_HEAD = _answer

    def log_message(self, *arguments: object) -> None:
        pass


@dataclass
class Place:
    """A proxy in front of `inside`, and the Gatehouse that it asks."""

    house: House
    inside: Inside
    url: str
    trust: ssl.SSLContext
    app: App
    browser: Browser
    sent: list[httpx2.Response] = field(default_factory=list)

    @property
    def resource(self) -> str:
        return f"{self.url}/mcp"

    def token(self, scope: str = "tools:use", resource: str | None = None) -> str:
        token: str = self.app.connect(self.browser, resource=resource or self.resource, scope=scope)["access_token"]
        return token

    def ask(self, token: str | None, path: str = "/mcp", method: str = "GET", **how: Any) -> httpx2.Response:
        headers = list(how.pop("headers", {}).items()) + ([("Authorization", f"Bearer {token}")] if token else [])
        return http(verify=self.trust).request(method, self.url + path, headers=headers, **how)


def nginx(folder: Path, text: str, port: int) -> list[str]:
    text = re.sub(r"/etc/\S+/fullchain\.pem", str(folder / "server.pem"), text)
    text = re.sub(r"/etc/\S+/privkey\.pem", str(folder / "server.key"), text)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"daemon off; user root; pid {folder}/pid; error_log stderr;\nevents {{}}\nhttp {{ access_log off; {paths}\n"
        + text.replace("443 ssl", f"127.0.0.1:{port} ssl").replace("tools.example.com;", "localhost;")
        + "}\n"
    )
    return [program("nginx"), "-c", str(folder / "nginx.conf"), "-p", str(folder)]


def caddy(folder: Path, text: str, port: int) -> list[str]:
    site = f"https://localhost:{port} {{\n\ttls server.pem server.key"
    text = text.replace("tools.example.com {", site, 1)
    (folder / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + text)
    return [program("caddy"), "run", "--config", "Caddyfile", "--adapter", "caddyfile"]


def documented(kind: str, folder: Path, house: House, inside: int, port: int) -> list[str]:
    """The documented words, with this test's ports and files."""
    text = block({"nginx": "nginx", "caddy": "caddyfile"}[kind])
    text = text.replace("https://tools.example.com/mcp", f"https://localhost:{port}/mcp")
    text = text.replace("127.0.0.1:8000", house.url.replace("http://localhost", "127.0.0.1"))
    text = text.replace("127.0.0.1:9000", f"127.0.0.1:{inside}")
    return {"nginx": nginx, "caddy": caddy}[kind](folder, text, port)


@pytest.fixture
def place(request: pytest.FixtureRequest, dsn: str, tmp_path: Path) -> Iterator[Place]:
    program(request.param)  # or skip
    _, authority = certificate(tmp_path)
    port, inside = free_port(), Inside()
    (tmp_path / "gatehouse.toml").write_text(resources(f"https://localhost:{port}/mcp"))
    proxies = (ip_network("127.0.0.0/8"),)
    house = House(dsn, resources_file=tmp_path / "gatehouse.toml", trusted_proxies=proxies).start()
    try:
        house.sql("DELETE FROM users")
        house.add_user()
        app = App(house.url)
        app.register()
        trust = ssl.create_default_context(cafile=str(authority))
        with running(documented(request.param, tmp_path, house, inside.server_port, port), port, tmp_path):
            yield Place(house, inside, f"https://localhost:{port}", trust, app, Browser(house.url))
    finally:
        house.stop()
        inside.shutdown()
        inside.server_close()


def told(response: httpx2.Response) -> dict[str, list[str]]:
    """What the server inside was told of the caller, however it was spelt."""
    assert response.status_code == 200, response.text
    headers: dict[str, list[str]] = response.json()["headers"]
    return {name: values for name, values in headers.items() if "gatehouse" in name}


@EACH
def test_who_has_a_token_passes_and_the_server_knows_who(place: Place) -> None:
    token = place.token()
    (subject,) = place.house.sql("SELECT id FROM users")[0]
    response = place.ask(token, "/mcp?resource=x&scope=admin", "POST", content="body " * 5000)
    assert told(response) == {
        "x-gatehouse-subject": [subject],
        "x-gatehouse-client": [place.app.client_id],
        "x-gatehouse-scope": ["tools:see tools:use"],
        "x-gatehouse-resource": [place.resource],
        "x-gatehouse-via": ["authorization_code"],
    }
    said = response.json()
    assert (said["method"], said["path"], said["body"]) == ("POST", "/mcp?resource=x&scope=admin", "body " * 5000)
    assert "authorization" not in said["headers"], "the token is not for the server"
    for path in ("/mcp", "/.gatehouse"):
        assert not [name for name in place.ask(token, path).headers if "gatehouse" in name], "told to nobody else"


@EACH
def test_a_caller_cannot_say_who_it_is(place: Place) -> None:
    """Its own headers, spelt in every way, with a good token and without."""
    token = place.token("tools:see")
    (subject,) = place.house.sql("SELECT id FROM users")[0]
    forged = {
        spelt: "root"
        for name in NAMES
        for spelt in (f"X-Gatehouse-{name}", f"x_gatehouse_{name}", f"X-Gatehouse_{name}", f"X_GATEHOUSE-{name}")
    }
    known = told(place.ask(token, headers=forged))
    assert set(known) == {f"x-gatehouse-{name}" for name in NAMES}
    assert known["x-gatehouse-subject"] == [subject]
    assert known["x-gatehouse-scope"] == ["tools:see"]
    assert place.ask(None, headers=forged).status_code == 401
    for named in (*(f"X-Gatehouse-{name}" for name in NAMES), "Authorization", "close, x-gatehouse-subject"):
        response = place.ask(token, headers={"Connection": named})  # RFC 9110 §7.6.1: proxies take away what it names
        assert response.status_code == 401 or told(response) == known, named


@EACH
def test_nobody_else_gets_in(place: Place) -> None:
    """Every method, every path; the challenge is the one of this resource, once, and leads to its document."""
    document = f"{place.house.url}/.well-known/oauth-protected-resource/tools"
    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"):
        response = place.ask(None, method=method)
        assert response.status_code == 401, method
        assert response.headers.get_list("www-authenticate") == [
            f'Bearer resource_metadata="{document}", scope="tools:see tools:use"'
        ]
        assert "strict-transport-security" not in response.headers
    asked = f"/forward-auth?resource={place.house.url}/mcp"
    for path in (
        "/",
        "//mcp",
        "/mcp/../x",
        "/%2e%2e/x",
        "/.gatehouse",
        f"/.gatehouse?resource={place.house.url}/mcp",
        asked,
    ):
        assert place.ask(None, path).status_code in (400, 401, 404), path
    here = place.token("read write", f"{place.house.url}/mcp")
    for path in ("/mcp", f"/mcp?resource={place.house.url}/mcp&scope=read", asked):
        assert place.ask(here, path).status_code == 401, path
    assert place.ask("garbage").status_code == 401
    assert place.inside.seen == []


@EACH
def test_too_narrow_a_scope_is_challenged_for_more(place: Place) -> None:
    """403 with what to ask for next, as the resource itself would; a 403 of the server's own stays its own."""
    response = place.ask(signed(place.house, place.resource, scope="openid"))
    assert response.status_code == 403
    (said,) = response.headers.get_list("www-authenticate")
    assert 'error="insufficient_scope"' in said
    assert "tools:see" in said
    assert place.inside.seen == []
    place.inside.status = 403
    own = place.ask(place.token())
    assert (own.status_code, "www-authenticate" in own.headers) == (403, False)


@EACH
def test_revocation_and_two_tokens(place: Place) -> None:
    token = place.token()
    assert place.ask(token).status_code == 200
    two = [("Authorization", f"Bearer {token}"), ("Authorization", "Bearer other")]
    for sent in (two, two[::-1]):
        assert http(verify=place.trust).get(place.resource, headers=sent).status_code in (400, 401)
    place.app.http.post(f"{place.app.url}/revoke", data={"token": token, "client_id": place.app.client_id})
    place.house.catch_up()
    assert place.ask(token).status_code == 401
    assert len(place.inside.seen) == 1


@EACH
def test_a_bound_token_needs_its_proof(place: Place) -> None:
    """RFC 9449 §7: for this request at this address, whatever the caller says of it."""
    holder = Holder(place.app, place.house)
    token = holder.tokens(place.browser, resource=place.resource, scope="tools:use")["access_token"]

    def send(method: str, url: str, **more: str) -> httpx2.Response:
        proof = holder.proof(method, "/", token, htu=url)
        headers = {"Authorization": f"DPoP {token}", "DPoP": proof} | more
        return place.ask(None, "/mcp/x?page=2", "POST", headers=headers, content="body")

    assert send("POST", f"{place.url}/mcp/x").status_code == 200
    assert "dpop" not in place.inside.seen[0]
    said = {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/other", "X-Forwarded-Host": "evil.example"}
    assert send("GET", f"{place.url}/other", **said).status_code == 401
    assert send("POST", f"{place.url}/mcp/x", **said).status_code == 200
    refused = send("POST", "https://evil.example/mcp/x", Host="evil.example")
    assert refused.status_code in (401, 404, 421) or not refused.content
    assert len(place.inside.seen) == 2


@EACH
def test_when_gatehouse_is_away_nobody_comes_in(place: Place) -> None:
    token = place.token()
    place.house.stop()
    assert place.ask(token).status_code >= 500
    assert place.inside.seen == []


@EACH
def test_an_mcp_client_finds_the_way(place: Place) -> None:
    """The official client: challenged by the proxy, signed in at Gatehouse, and at a server that knows nothing of OAuth."""
    tools = MCPServer("tools")

    @tools.tool()
    async def who(ctx: Context[Any, Any]) -> str:
        """Who is calling, as the proxy says."""
        request = ctx.request_context.request
        assert request is not None
        return str(request.headers["x-gatehouse-subject"])

    place.inside.shutdown()
    place.inside.server_close()
    security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    app = tools.streamable_http_app(stateless_http=True, json_response=True, transport_security=security)
    listener = socket.create_server(("127.0.0.1", place.inside.server_port))
    server = uvicorn.Server(uvicorn.Config(app, **OPTIONS))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    metadata = OAuthClientMetadata(redirect_uris=[AnyUrl(CALLBACK)], client_name="A client")
    person, storage = Person(place.house), Memory()
    auth = OAuthClientProvider(place.resource, metadata, storage, person.open, person.callback)

    async def converse() -> object:
        authorized = httpx2.AsyncClient(auth=auth, timeout=30, verify=place.trust)
        async with authorized, Client(streamable_http_client(place.resource, http_client=authorized)) as client:
            return (await client.call_tool("who", {})).structured_content

    try:
        called = asyncio.run(converse())
    finally:
        server.should_exit = True
        thread.join(10)
    (subject,) = place.house.sql("SELECT id FROM users")[0]
    assert called == {"result": subject}
    assert person.opened == 1
