"""Checks 60, 61 and 67 to 76: /mcp with a token: who calls, from where, and with what (RFC 6750, RFC 9068, MCP authorization)."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings

from app.gate.tool import Tool
from app.settings.read import Settings
from app.world import World
from tests.actors import App, Browser, http
from tests.conftest import House
from tests.rfc.test_rfc9068_at_jwt import FORGERIES

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}


@pytest.fixture
def token(app: App, browser: Browser) -> str:
    token: str = app.connect(browser)["access_token"]
    return token


def test_every_forgery_is_told_where_to_get_a_token(app: App, token: str, house: House) -> None:
    """Check 60, RS-6, RS-7, RS-8, RS-10: RFC 6750 §3.1, RFC 9068 §4, RFC 8725, MCP "Token Handling"."""
    claims = jwt.decode(token, options={"verify_signature": False})
    header = {name: value for name, value in jwt.get_unverified_header(token).items() if name != "alg"}
    forged = {name: forge(claims, header, house) for name, forge in FORGERIES.items()}
    assert {"expired", "alg none", "other issuer", "other audience", "an ID-JAG", "another EC key"} <= set(forged)
    for name, wrong in {**forged, "garbage": "garbage"}.items():
        answer = app.call("whoami", wrong)
        assert answer.status_code == 401, name
        challenge = answer.headers["www-authenticate"]
        assert 'error="invalid_token"' in challenge, name
        assert f'resource_metadata="{house.url}/.well-known/oauth-protected-resource/mcp"' in challenge
        assert 'scope="read write"' in challenge
    assert app.call("whoami", token).status_code == 200


def nosy(world: World, tools: dict[str, Tool]) -> StreamableHTTPSessionManager:
    """Tools that would like to know what came with the call."""
    server = MCPServer("nosy")

    @server.tool()
    async def headers(ctx: Context[Any, Any]) -> list[str]:
        assert ctx.request_context.request is not None
        return [f"{name}: {value}" for name, value in ctx.request_context.request.headers.items()]

    unguarded = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    server.streamable_http_app(stateless_http=True, json_response=True, transport_security=unguarded)
    return server.session_manager


def test_the_callers_credentials_stop_at_the_guard(dsn: str, app: App, token: str, house: House) -> None:
    """RS-9: MCP "Access Token Privilege Restriction": what a tool never sees it cannot pass on."""
    curious = House(dsn, nosy, public_url=house.url).start()
    try:
        there = App(curious.url, http=http(headers={"Host": house.url.removeprefix("http://")}))
        there.http.cookies.set("gatehouse", "cookie-canary")
        answer = there.call("headers", token, {"X-Harmless": "is passed on"})
    finally:
        curious.stop()
    assert "is passed on" in answer.text
    assert token not in answer.text
    assert "cookie-canary" not in answer.text


def test_it_listens_to_this_computer_alone_unless_told_otherwise(house: House) -> None:
    """T-3: MCP transport "Security & Endpoint"."""
    assert Settings.model_fields["host"].default == "127.0.0.1"


def test_a_page_of_elsewhere_is_turned_away_before_anything_else(app: App, token: str) -> None:
    """Check 68, T-2: MCP transport "Security & Endpoint", DNS rebinding."""
    for held in (token, None):
        for origin in ("https://evil.example", "null", "http://localhost.evil.example", f"{app.url}.evil.example"):
            assert app.mcp(LIST, held, {"Origin": origin}).status_code == 403, origin
        assert app.mcp(LIST, held, {"Host": "evil.example"}).status_code in (400, 421)
    for origin in (app.url, "http://localhost:6274"):
        assert app.mcp(LIST, token, {"Origin": origin}).status_code == 200
    assert app.mcp(LIST, token).status_code == 200


def test_a_notification_is_accepted_without_a_body(app: App, token: str) -> None:
    """Check 71, T-4: MCP transport "Sending Messages"; in both eras."""
    told = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    legacy = app.mcp(told, token, {"MCP-Protocol-Version": "2025-11-25"})
    assert (legacy.status_code, legacy.content) == (202, b"")
    sent = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "notifications/cancelled"}
    modern = app.mcp(told, token, sent)
    assert (modern.status_code, modern.content) == (202, b"")


def test_with_a_slash_it_is_the_same_address(app: App, token: str) -> None:
    """Check 72: a redirect would lose the token on its way (anthropics/claude-ai-mcp#878)."""
    sent = {"Accept": "application/json, text/event-stream", "Authorization": f"Bearer {token}"}
    answers = [http().post(app.url + path, json=LIST, headers=sent) for path in ("/mcp", "/mcp/")]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()


def test_what_is_no_message_costs_only_itself(app: App, token: str) -> None:
    """Check 73, RS-10, T-4: JSON-RPC 2.0 §5.1, MCP transport "Sending Messages"."""
    call = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"'
    messages: dict[str, tuple[bytes, str, set[int]]] = {
        "a batch": (b"[" + call + b"}]", "application/json", {400}),
        "half a message": (call, "application/json", {400}),
        "text": (call + b"}", "text/plain", {400, 415}),
        "five megabytes": (b'"' + b"x" * 5_000_000 + b'"', "application/json", {413}),
        "deep": (call + b',"params":' + b"[" * 100_000, "application/json", {400}),
        "deep and closed": (b"[" * 100_000 + b"]" * 100_000, "application/json", {400}),
    }
    for what, (body, content_type, statuses) in messages.items():
        assert app.mcp(body, token, {"Content-Type": content_type}).status_code in statuses, what
        assert app.mcp(LIST, token).status_code == 200, what


def test_any_process_serves_any_request(app: App, browser: Browser, house: House, dsn: str) -> None:
    """Check 74, T-22: MCP "Statelessness"; two servers on one database, one of them started anew in between."""

    def another() -> House:
        return House(dsn, public_url=house.url).start()

    def client(at: House) -> App:
        named = {"Host": house.url.removeprefix("http://")}
        return App(at.url, client_id=app.client_id, http=http(headers=named))

    tokens = app.connect(browser)
    assert app.modern("server/discover", tokens["access_token"]).status_code == 200
    second = another()
    try:
        there = client(second)
        assert there.modern("tools/call", tokens["access_token"], "whoami", arguments={}).status_code == 200
        refreshed = there.refresh(tokens["refresh_token"]).json()
    finally:
        second.stop()
    third = another()
    try:
        there = client(third)
        for held in (tokens, refreshed):
            assert there.call("whoami", held["access_token"]).status_code == 200
        assert there.refresh(refreshed["refresh_token"]).status_code == 200
    finally:
        third.stop()
    assert app.call("whoami", refreshed["access_token"]).status_code == 200
