"""What real clients do that no specification asks for, and that shut them out elsewhere: one test for each."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.actors import App, Browser, http
from tests.clients.data import known
from tests.clients.replay import Replay
from tests.conftest import House

MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "whoami", "arguments": {}}}


def basic(client_id: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


@pytest.mark.parametrize(
    "versions",
    [
        ["2025-11-25, 2025-11-25"],
        ["2025-11-25,2025-11-25,2025-11-25"],
        ["2025-11-25", "2025-11-25"],
        ["2025-06-18 , 2025-06-18"],
    ],
)
def test_doubled_protocol_version(app: App, browser: Browser, versions: list[str]) -> None:
    """Claude Code behind some proxies (lowdefy#2345, different-ai/openwork#3944): in one line or in two."""
    token = app.connect(browser)["access_token"]
    headers = [("MCP-Protocol-Version", version) for version in versions]
    headers += [("Authorization", f"Bearer {token}"), ("Accept", "application/json, text/event-stream")]
    assert app.http.post(f"{app.url}/mcp", json=CALL, headers=headers).status_code == 200


def test_two_protocol_versions_that_differ_are_no_version(app: App, browser: Browser) -> None:
    token = app.connect(browser)["access_token"]
    assert app.call("whoami", token, {"MCP-Protocol-Version": "2025-11-25, 2025-06-18"}).status_code == 400


def test_handshake_header_over_a_stateless_body(app: App, browser: Browser) -> None:
    """anthropics/claude-code#93290."""
    token = app.connect(browser)["access_token"]
    message = {**CALL, "params": {"name": "whoami", "arguments": {}, "_meta": MODERN}}
    response = app.mcp(message, token, {"MCP-Protocol-Version": "2025-11-25"})
    assert response.json()["result"]["structuredContent"]["via"] == "authorization_code"


def test_a_probe_with_a_word_for_its_number(app: App, browser: Browser) -> None:
    """Claude Code's and the TypeScript SDK's `server-discover-probe-1`, answered under the same id."""
    token = app.connect(browser)["access_token"]
    message = {
        "jsonrpc": "2.0",
        "id": "server-discover-probe-1",
        "method": "server/discover",
        "params": {"_meta": MODERN},
    }
    answer = app.mcp(message, token, {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "server/discover"})
    assert answer.json()["id"] == "server-discover-probe-1"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_another_port_under_an_old_client_id(house: House, browser: Browser, host: str) -> None:
    """fastmcp, Claude Code, Codex: registered once, another port each time (anthropics/claude-code#42301, #37767)."""
    house.add_user()
    app = App(house.url, redirect_uri=f"http://{host}:3118/callback")
    app.register()
    for port in (49152, 51234, 1024):
        app.redirect_uri = f"http://{host}:{port}/callback"
        page = browser.open(app.authorize_url())
        page = browser.sign_in(page) if "/login" in page.url else page
        page = browser.decide(page) if "/consent" in page.url else page
        assert (page.left_to or "").startswith(app.redirect_uri + "?code=")
        assert app.redeem(page.answer["code"]).status_code == 200
    assert house.sql("SELECT count(*) FROM clients") == [(1,)]


def test_refresh_before_discovery(app: App, browser: Browser) -> None:
    """fastmcp after a restart: `POST /token` at the origin of the MCP address, and nothing before it."""
    tokens = app.connect(browser)
    started_anew = http(headers={"User-Agent": "python-httpx/0.28.1"})
    fields = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": app.client_id}
    response = started_anew.post(f"{app.url}/token", data=fields | {"resource": f"{app.url}/mcp"})
    assert app.call("whoami", response.json()["access_token"]).status_code == 200


def test_no_discovery_at_all(house: House, browser: Browser) -> None:
    """MCP 2025-03-26: /register, /authorize and /token of the origin, on which Claude and VS Code fall back (claude-ai-mcp#82)."""
    house.add_user()
    app = App(house.url)  # which knows no other addresses
    app.register()
    assert app.call("whoami", app.connect(browser)["access_token"]).status_code == 200


def test_authorize_fetched_twice(app: App, house: House, browser: Browser) -> None:
    """fastmcp looks at the address itself, without cookies, before the browser does; a prefetching browser may too."""
    url = app.authorize_url(resource=f"{app.url}/mcp")
    bare = http()
    bare.headers.clear()
    assert bare.get(url).status_code == 303
    assert bare.head(url).status_code == 303
    assert not bare.cookies
    first, second = browser.open(url), browser.open(url)
    assert first.url.split("?")[0] == second.url.split("?")[0] == f"{house.url}/login"
    assert house.sql("SELECT count(*) FROM codes") == [(0,)]
    page = browser.decide(browser.sign_in(second))
    assert bare.get(url).status_code == 303, "still nothing but a way to the sign-in page"
    assert house.sql("SELECT count(*) FROM codes") == [(1,)]
    assert app.redeem(page.answer["code"]).status_code == 200


def test_authorize_of_a_stale_client_is_400_without_a_browser(app: App, house: House) -> None:
    """What fastmcp looks for: it registers anew on that."""
    house.operator("client", "revoke", app.client_id)
    response = http().get(app.authorize_url())
    assert response.status_code == 400
    assert "location" not in response.headers


def test_basic_with_the_client_id_in_the_body_too(app: App, browser: Browser) -> None:
    """The Python SDK, for the code and for the refresh."""
    app.register(token_endpoint_auth_method="client_secret_basic")
    headers = basic(app.client_id, str(app.client_secret))
    code = app.code(browser)
    fields = {"code": code, "redirect_uri": app.redirect_uri, "code_verifier": app.code_verifier}
    tokens = app.token(headers, grant_type="authorization_code", client_secret=None, **fields).json()
    again = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_secret": None}
    assert app.token(headers, **again).status_code == 200
    other = app.token(headers, **again | {"client_id": "client_other"})
    assert (other.status_code, other.json()["error"]) == (400, "invalid_request")


def test_basic_with_an_empty_secret(app: App, browser: Browser) -> None:
    """Generic OAuth libraries that have no secret to send: `Basic id:`."""
    tokens = app.connect(browser)
    fields = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": None}
    assert app.token(basic(app.client_id, ""), **fields).status_code == 200


@pytest.mark.parametrize("name", ["claude_ai", "cursor", "typescript_sdk", "python_sdk"])
def test_deleted_client(house: House, browser: Browser, name: str) -> None:
    """401 `invalid_client` at /token, in whichever way it authenticates; and whoever registers anew on that is in again."""
    house.add_user()
    client = Replay(known(name), house, browser)
    client.document_id = ""
    client.discover()
    client.introduce()
    client.connect(client.known.authorize)
    old, token = client.client_id, client.tokens["refresh_token"]
    house.operator("client", "revoke", old)
    house.catch_up()
    assert client.whoami().status_code == 401
    refused = client.token({"grant_type": "refresh_token", "refresh_token": token})
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    assert ("www-authenticate" in refused.headers) == ("basic" in client.authenticates)
    client.introduce()
    assert client.client_id != old
    client.connect(client.known.authorize)
    assert client.whoami().status_code == 200


def test_parallel_processes_refresh_the_same_token(app: App, browser: Browser) -> None:
    """Claude Code, Codex, hosted Claude from two addresses (claude-code#85236, fastmcp#4264, codex#46028): nobody is logged out."""
    token = app.connect(browser)["refresh_token"]
    with ThreadPoolExecutor(8) as processes:
        answers = list(processes.map(lambda _: App(app.url, client_id=app.client_id).refresh(token), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    (successor,) = {answer.json()["refresh_token"] for answer in answers}
    assert app.refresh(successor).status_code == 200


@pytest.mark.parametrize("resource", ["{mcp}", "{mcp}/", "{origin}", "{origin}/", None])
@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
def test_a_token_is_good_however_the_address_was_spelt(
    app: App, browser: Browser, resource: str | None, path: str
) -> None:
    """OAuth completes and /mcp answers 401, or loses the header in a redirect (claude-ai-mcp#299, #690, #878)."""
    spelt = resource and resource.format(mcp=f"{app.url}/mcp", origin=app.url)
    response = app.redeem(app.code(browser, resource=spelt), resource=spelt)
    headers = {
        "Authorization": f"Bearer {response.json()['access_token']}",
        "Accept": "application/json, text/event-stream",
    }
    assert app.http.post(app.url + path, json=CALL, headers=headers, follow_redirects=False).status_code == 200


def test_a_catalogue_of_scopes(app: App, browser: Browser) -> None:
    """Whole catalogues, names of the client's own, `offline_access`, an empty word (tldraw/tldraw#10612, claude-code#55954)."""
    for scope in ("claudeai", "read write offline_access", "", "openid email profile", "mcp:read mcp:write read write"):
        tokens = app.connect(browser, scope=scope, resource=f"{app.url}/mcp")
        assert {"read", "write"} <= set(tokens["scope"].split()), scope
        assert tokens["refresh_token"]


def test_head_of_mcp_says_where_to_look(app: App) -> None:
    """Gemini CLI."""
    response = http().head(f"{app.url}/mcp")
    assert response.status_code == 401
    assert 'resource_metadata="' in response.headers["www-authenticate"]
