"""RFC 6750, RFC 9728 §5.1 and MCP authorization: the guard in front of /mcp."""

from __future__ import annotations

import json

import pytest

from tests.actors import App, Browser, http
from tests.conftest import House

TOOLS_CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "add_note", "arguments": {"text": "x"}},
}


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE", "PUT", "PATCH", "HEAD"])
@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
def test_without_a_token_every_method_is_challenged(house: House, method: str, path: str) -> None:
    """§3.1: no error word when no token came; MCP: resource_metadata and scope, quoted; no redirect."""
    response = http().request(method, house.url + path)
    assert response.status_code == 401
    metadata = f"{house.url}/.well-known/oauth-protected-resource/mcp"
    assert response.headers["www-authenticate"] == f'Bearer resource_metadata="{metadata}", scope="read write"'


@pytest.mark.parametrize("token", ["garbage", "a.b.c", "gh_key_unknown", "gh_rt_x", "x" * 9000, "é"])
def test_a_token_that_is_none_of_ours_is_invalid(app: App, token: str) -> None:
    response = app.mcp({}, None, {"Authorization": f"Bearer {token}".encode("latin-1")})  # type: ignore[dict-item]
    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


def test_a_token_belongs_in_the_header_only(app: App, browser: Browser) -> None:
    """MCP: MUST NOT be in the query; nor is the body looked at."""
    token = app.connect(browser)["access_token"]
    assert app.http.post(f"{app.url}/mcp?access_token={token}", json=TOOLS_CALL).status_code == 401
    assert app.http.post(f"{app.url}/mcp", data={"access_token": token}).status_code == 401
    two = [("Authorization", f"Bearer {token}"), ("Authorization", "Bearer x")]
    assert app.http.post(f"{app.url}/mcp", headers=two, json=TOOLS_CALL).status_code == 400


def test_other_secrets_do_not_pass_as_tokens(app: App, browser: Browser) -> None:
    """RFC 8725 §2.8: token type confusion."""
    code = app.code(browser)
    tokens = app.redeem(code).json()
    for other in (code, tokens["refresh_token"], browser.http.cookies[next(iter(browser.http.cookies))]):
        assert app.call("whoami", other).status_code == 401
    assert app.refresh(tokens["access_token"]).json()["error"] == "invalid_grant"
    assert app.redeem(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_read_token_reads_and_nothing_else(app: App, browser: Browser, house: House) -> None:
    """§3.1 insufficient_scope; MCP: held and missing scopes together, resource_metadata; in both eras."""
    token = app.connect(browser, scope="read")["access_token"]
    assert app.call("list_notes", token).json()["result"]["structuredContent"] == {"result": []}
    for refused in (
        app.call("add_note", token, text="x"),
        app.modern("tools/call", token, "add_note", arguments={"text": "x"}),
        app.call("delete_note", token, note_id="note_" + "0" * 24),
    ):
        assert refused.status_code == 403
        challenge = refused.headers["www-authenticate"]
        assert 'error="insufficient_scope"' in challenge
        assert 'scope="read write"' in challenge
        assert "/.well-known/oauth-protected-resource/mcp" in challenge
    assert house.sql("SELECT count(*) FROM notes") == [(0,)]


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(TOOLS_CALL).replace("tools/call", "tools\\/call"),
        json.dumps(TOOLS_CALL).replace("add_note", "add\\u005fnote"),
        json.dumps(TOOLS_CALL).replace('"method": "tools/call"', '"method": "tools/list", "method": "tools/call"'),
        json.dumps(TOOLS_CALL).replace('"name": "add_note"', '"name": "whoami", "name": "add_note"'),
        json.dumps([TOOLS_CALL]),
        "\ufeff" + json.dumps(TOOLS_CALL),
    ],
)
def test_no_spelling_slips_a_call_through(app: App, browser: Browser, house: House, body: str) -> None:
    """What was parsed decides, and exactly that is passed on."""
    token = app.connect(browser, scope="read")["access_token"]
    assert app.mcp(body.encode(), token).status_code in (400, 403)
    assert app.mcp(body.encode("utf-16"), token).status_code == 400
    assert house.sql("SELECT count(*) FROM notes") == [(0,)]


def test_the_tools_read_the_last_of_two_keys_as_the_guard_did(app: App, browser: Browser, house: House) -> None:
    token = app.connect(browser, scope="read")["access_token"]
    body = json.dumps(TOOLS_CALL).replace('"name": "add_note"', '"name": "add_note", "name": "whoami"')
    assert app.mcp(body.replace('{"text": "x"}', "{}"), token).json()["result"]["structuredContent"]["scopes"] == [
        "read"
    ]
    assert house.sql("SELECT count(*) FROM notes") == [(0,)]


def test_write_implies_read(app: App, browser: Browser) -> None:
    """MCP 2026-07-28: scope hierarchies MUST be accounted for."""
    token = app.connect(browser, scope="write")["access_token"]
    assert app.call("list_notes", token).status_code == 200


def test_a_token_for_something_else_does_not_reach_the_tools(app: App, browser: Browser) -> None:
    token = app.connect(browser, scope="api_keys")["access_token"]
    refused = app.mcp({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, token)
    assert refused.status_code == 403
    assert 'scope="api_keys read"' in refused.headers["www-authenticate"]


def test_each_user_sees_their_own_notes_only(app: App, browser: Browser, house: House) -> None:
    token = app.connect(browser)["access_token"]
    note = app.call("add_note", token, text="Ada's").json()["result"]["structuredContent"]
    house.add_user("bob@example.com")
    other = Browser(house.url)
    bob_app = App(house.url)
    bob_app.register()
    page = other.sign_in(other.open(bob_app.authorize_url()), email="bob@example.com")
    bob = bob_app.redeem(other.decide(page).answer["code"]).json()["access_token"]
    assert bob_app.call("list_notes", bob).json()["result"]["structuredContent"] == {"result": []}
    assert bob_app.call("delete_note", bob, note_id=note["id"]).json()["result"]["structuredContent"] == {
        "result": False
    }
    assert app.call("delete_note", token, note_id=note["id"]).json()["result"]["structuredContent"] == {"result": True}


def test_host_and_origin_come_before_everything(app: App, browser: Browser) -> None:
    """MCP transport: DNS rebinding."""
    token = app.connect(browser)["access_token"]
    for held in (token, None):
        assert app.call("whoami", held, {"Origin": "https://evil.example"}).status_code == 403
        assert app.call("whoami", held, {"Origin": "null"}).status_code == 403
        assert app.call("whoami", held, {"Host": "evil.example"}).status_code == 421
        assert app.call("whoami", held, {"Host": "localhost/healthz?x="}).status_code == 421
    allowed = app.call("whoami", token, {"Origin": "http://localhost:6274"})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "*"
    assert "WWW-Authenticate" in allowed.headers["access-control-expose-headers"]


def test_a_browser_may_ask_before_it_calls(house: House) -> None:
    headers = {"Origin": "http://localhost:6274", "Access-Control-Request-Headers": "authorization, mcp-param-city"}
    response = http().options(f"{house.url}/mcp", headers=headers)
    assert response.status_code == 204
    assert "mcp-param-city" in response.headers["access-control-allow-headers"]
    assert http().options(f"{house.url}/mcp", headers={"Origin": "https://evil.example"}).status_code == 403
