"""A remote MCP server that acts at its callers' own accounts: `credentials = "upstream:acme"` in gatehouse.toml."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.actors import App, Browser
from tests.backends import Backend, Received, Wire
from tests.conftest import House
from tests.upstream.test_vault import connect, events, text, token_of
from tests.upstreams import Upstream, as_json, house_with

OPENS: dict[str, Any] = {"elicitation": {"url": {}}}
TOOLS = [{"name": "issues", "inputSchema": {"type": "object"}}]
FILE = """
[resources.far]
path = "/mcp"
title = "Far"
url = "{url}"
credentials = "upstream:acme"
other_tools = "read"

[resources.more]
path = "/more/mcp"
title = "More"
url = "{url}"
send = {{ upstream = "acme", scopes = ["notes:read"], header = "X-Token" }}
other_tools = "read"

[resources.ours]
path = "/ours/mcp"
title = "Ours"
python = "tests.servers:issues"
other_tools = "read"

[resources.none]
path = "/none/mcp"
title = "None"
url = "{url}"
credentials = "upstream:nobody"
other_tools = "read"
"""


class Far:
    """An MCP server that knows its callers by Acme's tokens alone. `open_to_all` are methods that it answers to anybody;
    `wants` is a scope that its tools need there."""

    def __init__(self, service: Upstream) -> None:
        self.service = service
        self.is_right_again()
        self.backend = Backend(self.talk)

    def is_right_again(self) -> None:
        self.open_to_all: set[str] = set()
        self.wants = ""
        self.calls: list[str] = []

    async def talk(self, asked: Received, wire: Wire) -> None:
        token = asked.header("x-token") or (asked.header("authorization") or "").removeprefix("Bearer ")
        method = asked.message["method"] if asked.method == "POST" else asked.method
        if token not in self.service.access_tokens and method not in self.open_to_all:
            await wire.reply(401, b'{"error":"invalid_token"}', WWW_Authenticate='Bearer error="invalid_token"')
        elif method == "initialize":
            done = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "far", "version": "1"}}
            await wire.result(asked, done, Mcp_Session_Id="far-1")
        elif method == "tools/list":
            await wire.result(asked, {"tools": TOOLS})
        elif method == "tools/call" and self.wants and self.wants not in self.service.access_tokens[token].split():
            challenge = f'Bearer error="insufficient_scope", scope="{self.wants}"'
            await wire.reply(403, b"", WWW_Authenticate=challenge)
        elif method == "tools/call":
            self.calls.append(token)
            await wire.result(asked, {"content": [{"type": "text", "text": f"issues of {token}"}]})
        elif "id" in asked.message:
            await wire.result(asked, {})
        else:
            await wire.reply(202, b"")


@pytest.fixture(scope="module")
def far_at_work(service: Upstream) -> Iterator[Far]:
    far = Far(service)
    yield far
    far.backend.close()


@pytest.fixture
def far(far_at_work: Far) -> Far:
    far_at_work.is_right_again()
    return far_at_work


@pytest.fixture(scope="module")
def house_at_work(
    dsn: str, service: Upstream, far_at_work: Far, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    file: Path = tmp_path_factory.mktemp("far") / "gatehouse.toml"
    file.write_text(FILE.format(url=far_at_work.backend.url))
    house = house_with(dsn, {"acme": service.definition()}, resources_file=file).start()
    yield house
    house.stop()


@pytest.fixture
def app(house: House, browser: Browser, far: Far) -> App:
    """Of Ada's, who is signed in and has connected nothing."""
    return of_ada(house, browser)


def of_ada(house: House, browser: Browser, path: str = "/mcp") -> App:
    if not house.sql("SELECT 1 FROM users"):
        house.add_user()
        browser.sign_in()
    app = App(house.url, path=path)
    app.register()
    app.token_of_ada = app.connect(browser, resource=f"{house.url}{path}")["access_token"]  # type: ignore[attr-defined]
    return app


def ask(app: App, method: str, params: dict[str, Any] | None = None, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return app.mcp({"jsonrpc": "2.0", "id": 7, "method": method, "params": params or {}}, token_of(app), named)


def call(app: App, **headers: str) -> httpx2.Response:
    return ask(app, "tools/call", {"name": "issues", "arguments": {}}, **headers)


def modern(app: App, capabilities: dict[str, Any], method: str = "tools/call", **more: Any) -> httpx2.Response:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    }
    headers = {"MCP_Protocol_Version": "2026-07-28", "Mcp_Method": method}
    if method == "tools/call":
        more = {"name": "issues", "arguments": {}, **more}
        headers["Mcp_Name"] = "issues"
    return ask(app, method, {"_meta": meta, **more}, **headers)


def hello(app: App, capabilities: dict[str, Any]) -> httpx2.Response:
    client = {"name": "test", "version": "1"}
    return ask(
        app,
        "initialize",
        {"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": client},
    )


def did(response: httpx2.Response) -> str:
    result = response.json()["result"]
    assert not result.get("isError"), result
    words: str = result["content"][0]["text"]
    return words


# Without an account --------------------------------------------------------------------------------------------------


def test_a_call_says_where_to_connect_and_works_afterwards(
    house: House, app: App, browser: Browser, acme: Upstream, far: Far
) -> None:
    """By the same access token, without signing in again; the server gets Acme's token and never ours."""
    words = text(call(app))
    assert "You have not connected an account at Acme." in words
    assert f"{house.url}/connect/acme" in words
    assert far.calls == []
    connect(browser)
    assert did(call(app)).startswith("issues of ")
    assert far.calls[0] in acme.access_tokens
    assert all(token_of(app) not in str(asked.headers) for asked in far.backend.received)
    assert house.sql("SELECT count(*) FROM browser_sessions") == [(1,)]


def test_the_newest_era_is_asked_by_url_once(house: House, app: App, browser: Browser, acme: Upstream) -> None:
    result = modern(app, OPENS).json()["result"]
    assert result["resultType"] == "input_required"
    asked = result["inputRequests"]["connect"]
    assert (asked["method"], asked["params"]["mode"]) == ("elicitation/create", "url")
    assert asked["params"]["url"] == f"{house.url}/connect/acme"
    again = modern(app, OPENS, inputResponses={"connect": {"action": "accept"}})
    assert f"open {house.url}/connect/acme" in text(again)
    assert f"open {house.url}/connect/acme" in text(modern(app, {}))
    connect(browser)
    assert did(modern(app, OPENS, inputResponses={"connect": {"action": "accept"}})).startswith("issues of")


def test_a_handshake_client_that_opens_addresses_is_asked_by_url(
    house: House, app: App, browser: Browser, acme: Upstream
) -> None:
    """2025-11-25: -32042, known from the session that it began; then it is told to begin another, with the server itself."""
    begun = hello(app, OPENS)
    session = begun.headers["mcp-session-id"]
    assert f"{house.url}/connect/acme" in begun.json()["result"]["instructions"]
    error = call(app, Mcp_Session_Id=session).json()["error"]
    assert error["code"] == -32042
    [asked] = error["data"]["elicitations"]
    assert (asked["mode"], asked["url"]) == ("url", f"{house.url}/connect/acme")
    assert asked["elicitationId"]
    connect(browser)
    assert call(app, Mcp_Session_Id=session).status_code == 404
    begun = hello(app, OPENS)
    assert begun.json()["result"]["serverInfo"]["name"] == "far"
    assert did(call(app, Mcp_Session_Id=begun.headers["mcp-session-id"])).startswith("issues of")


def test_a_handshake_client_that_does_not_gets_the_tools_error(house: House, app: App) -> None:
    session = hello(app, {"elicitation": {}}).headers["mcp-session-id"]
    assert f"open {house.url}/connect/acme" in text(call(app, Mcp_Session_Id=session))


def test_what_opens_is_remembered_with_the_server_s_own_session(
    house: House, app: App, browser: Browser, acme: Upstream, far: Far
) -> None:
    connect(browser)
    session = hello(app, OPENS).headers["mcp-session-id"]
    assert did(call(app, Mcp_Session_Id=session)).startswith("issues of")
    assert far.backend.received[-1].header("mcp-session-id") == "far-1"
    page = browser.open("/account/services")
    browser.send("/account/services/disconnect", csrf=page.field("csrf"), provider="acme")
    assert call(app, Mcp_Session_Id=session).json()["error"]["code"] == -32042


def test_a_client_can_look_around_meanwhile(house: House, app: App, far: Far) -> None:
    """Whoever only listed tools would see an error and nothing to press: so there is one tool, which says where to go."""
    [only] = ask(app, "tools/list").json()["result"]["tools"]
    assert (only["name"], only["title"]) == ("connect_account", "Connect Acme")
    assert f"{house.url}/connect/acme" in only["description"]
    assert ask(app, "ping").json()["result"] == {}
    found = modern(app, {}, "server/discover").json()["result"]
    assert (found["supportedVersions"], found["resultType"]) == (["2026-07-28"], "complete")
    assert app.mcp({"jsonrpc": "2.0", "method": "notifications/initialized"}, token_of(app)).status_code == 202
    other = ask(app, "resources/read", {"uri": "x:y"}).json()["error"]
    assert (other["data"]["error"], other["data"]["url"]) == ("upstream_not_connected", f"{house.url}/connect/acme")
    listening = app.http.get(
        f"{house.url}/mcp", headers={"Authorization": f"Bearer {token_of(app)}", "Accept": "text/event-stream"}
    )
    assert listening.status_code == 405
    assert far.calls == []


def test_a_server_that_introduces_itself_to_anybody_does(house: House, app: App, far: Far) -> None:
    far.open_to_all = {"initialize", "tools/list"}
    begun = hello(app, OPENS)
    assert begun.json()["result"]["serverInfo"]["name"] == "far"
    session = begun.headers["mcp-session-id"]
    assert ask(app, "tools/list", Mcp_Session_Id=session).json()["result"]["tools"] == TOOLS
    assert call(app, Mcp_Session_Id=session).json()["error"]["code"] == -32042
    assert far.backend.received[-1].message["method"] == "tools/list"


def test_nobody_elses_account_is_used(house: House, app: App, browser: Browser, acme: Upstream, far: Far) -> None:
    connect(browser)
    call(app)
    house.add_user("eve@example.com")
    eve = Browser(house.url)
    eve.sign_in(email="eve@example.com")
    hers = App(house.url)
    hers.register()
    hers.token_of_ada = hers.connect(eve)["access_token"]  # type: ignore[attr-defined]
    assert "You have not connected" in text(call(hers))
    assert len(far.calls) == 1


def test_a_service_that_nobody_configured(house: House, browser: Browser, far: Far) -> None:
    response = call(of_ada(house, browser, "/none/mcp"))
    assert (response.status_code, response.json()["error"]["data"]["error"]) == (502, "upstream_not_offered")


def test_a_python_server_of_ones_own_has_its_caller(house: House, browser: Browser, acme: Upstream) -> None:
    app = of_ada(house, browser, "/ours/mcp")
    asked = {"name": "list_issues", "arguments": {}}
    assert f"open {house.url}/connect/acme?scope=email" in ask(app, "tools/call", asked).text
    connect(browser)
    assert "ada@example.com may openid email profile" in ask(app, "tools/call", asked).text
    acme.replies["/token"] = as_json({}, 500)
    house.turn_clock(minutes=59, seconds=58)
    app.token_of_ada = app.connect(browser, resource=f"{house.url}/ours/mcp")["access_token"]  # type: ignore[attr-defined]
    assert "upstream_unavailable" in ask(app, "tools/call", asked).text


# Scopes, ends, outages -----------------------------------------------------------------------------------------------


def test_scopes_that_the_operator_names(house: House, browser: Browser, acme: Upstream, far: Far) -> None:
    app = of_ada(house, browser, "/more/mcp")
    connect(browser)
    words = text(call(app))
    assert "does not allow this yet" in words
    assert f"{house.url}/connect/acme?scope=notes%3Aread" in words
    connect(browser, "/connect/acme?scope=notes%3Aread")
    assert did(call(app)).startswith("issues of")
    assert far.backend.received[-1].header("authorization") is None
    assert far.backend.received[-1].header("x-token") == far.calls[-1]


def test_scopes_that_the_server_asks_for(house: House, app: App, browser: Browser, acme: Upstream, far: Far) -> None:
    """RFC 6750 §3.1: its challenge becomes the question to the user."""
    connect(browser)
    far.wants = "notes:write"
    words = text(call(app))
    assert f"{house.url}/connect/acme?scope=notes%3Awrite" in words
    connect(browser, "/connect/acme?scope=notes%3Awrite")
    assert did(call(app)).startswith("issues of")
    far.wants = "notes:write "  # whatever it is given, it wants it again
    assert call(app).json()["error"]["data"]["error"] == "backend_refused"


def test_a_token_that_has_ended_there_is_renewed_in_the_same_call(
    house: House, app: App, browser: Browser, acme: Upstream, far: Far
) -> None:
    connect(browser)
    first = did(call(app))
    acme.access_tokens.clear()
    assert did(call(app)) != first
    assert acme.grants["refresh_token"] == 1


def test_a_grant_that_was_revoked_there(house: House, app: App, browser: Browser, acme: Upstream, far: Far) -> None:
    """The user is asked again; our own tokens are as good as before."""
    connect(browser)
    acme.access_tokens.clear()
    acme.refresh_tokens.clear()
    assert "has ended and has to be made again" in text(call(app))
    assert [event["provider"] for event in events(house, "upstream.broken")] == ["acme"]
    connect(browser)
    assert did(call(app)).startswith("issues of")


def test_the_service_is_away(house: House, app: App, browser: Browser, acme: Upstream, far: Far) -> None:
    connect(browser)
    acme.replies["/token"] = as_json({"error": "temporarily_unavailable"}, 503)
    acme.access_tokens.clear()
    house.turn_clock(minutes=59, seconds=58)
    app.token_of_ada = app.connect(browser)["access_token"]  # type: ignore[attr-defined]
    response = call(app)
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert response.json()["error"]["data"]["error"] == "upstream_unavailable"
    acme.replies.clear()
    house.turn_clock(seconds=4)
    assert did(call(app)).startswith("issues of")


def test_many_calls_at_once_refresh_once(house: House, app: App, browser: Browser, acme: Upstream, far: Far) -> None:
    connect(browser)
    acme.access_tokens.clear()
    start = threading.Barrier(12)

    def one(_: int) -> str:
        start.wait(20)
        return did(call(app))

    with ThreadPoolExecutor(12) as threads:
        assert len(set(threads.map(one, range(12)))) == 1
    assert acme.grants["refresh_token"] == 1
