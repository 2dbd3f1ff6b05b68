"""Checks 62 to 66 of /mcp, and the rest of what MCP's streamable HTTP demands of a server, in both eras."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx2
import pytest

from tests.actors import App, Browser
from tests.conftest import House

VERSION, INFO = "io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/serverInfo"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
META = {VERSION: "2026-07-28", CAPABILITIES: {}}
HEADERS = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "whoami"}
LISTS = ["tools/list", "prompts/list", "resources/list", "resources/templates/list"]


def rpc(method: str, /, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


WHOAMI = rpc("tools/call", name="whoami", arguments={}, _meta=META)


@pytest.fixture
def token(app: App, browser: Browser) -> str:
    token: str = app.connect(browser)["access_token"]
    return token


def told(answer: httpx2.Response) -> tuple[int, int]:
    return answer.status_code, answer.json()["error"]["code"]


def without(headers: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in names}


def test_headers_and_body_have_to_say_the_same(app: App, token: str) -> None:
    """Check 63, T-9, T-13, T-15: MCP transport "Server Validation", basic "Per-request protocol fields"."""
    assert app.mcp(WHOAMI, token, HEADERS).status_code == 200
    assert told(app.mcp(WHOAMI, token, HEADERS | {"Mcp-Name": "add_note"})) == (400, -32020)
    assert told(app.mcp(WHOAMI, token, without(HEADERS, "Mcp-Name"))) == (400, -32020)
    assert told(app.mcp(WHOAMI, token, without(HEADERS, "Mcp-Method"))) == (400, -32020)
    other = rpc("tools/call", name="whoami", arguments={}, _meta=META | {VERSION: "2025-11-25"})
    assert told(app.mcp(other, token, HEADERS)) == (400, -32020)
    partly: list[dict[str, Any]] = [
        {},
        {"_meta": {}},
        {"_meta": {VERSION: "2026-07-28"}},
        {"_meta": {CAPABILITIES: {}}},
    ]
    for meta in partly:
        assert told(app.mcp(rpc("tools/call", name="whoami", **meta), token, HEADERS)) == (400, -32602), meta


def test_an_unknown_version_or_method_is_named(app: App, token: str) -> None:
    """Check 64, T-10, T-11: MCP versioning "Negotiation", transport "Protocol Version Header"."""
    old = WHOAMI["params"] | {"_meta": META | {VERSION: "1900-01-01"}}
    answer = app.mcp(WHOAMI | {"params": old}, token, HEADERS | {"MCP-Protocol-Version": "1900-01-01"})
    assert told(answer) == (400, -32022)
    data = answer.json()["error"]["data"]
    assert "2026-07-28" in data["supported"]
    assert data["requested"] == "1900-01-01"
    assert told(app.modern("tools/unheard-of", token)) == (404, -32601)


def test_a_version_said_twice_or_in_two_eras_is_served(app: App, token: str) -> None:
    """Check 66: what Claude Code and others send (anthropics/claude-code#93290)."""
    assert app.mcp(rpc("tools/list"), token, {"MCP-Protocol-Version": "2025-11-25, 2025-11-25"}).status_code == 200
    assert app.mcp(WHOAMI, token, {"MCP-Protocol-Version": "2025-11-25"}).status_code == 200


def test_names_in_headers_may_be_encoded(app: App, token: str) -> None:
    """T-13: MCP transport "Standard Request Headers": `=?base64?…?=` is decoded before it is compared; garbage is refused."""
    for name, status in (("whoami", 200), ("add_note", 400)):
        encoded = f"=?base64?{base64.b64encode(name.encode()).decode()}?="
        assert app.mcp(WHOAMI, token, HEADERS | {"Mcp-Name": encoded}).status_code == status, name
    assert told(app.mcp(WHOAMI, token, HEADERS | {"Mcp-Name": "=?base64?%%%?="})) == (400, -32020)
    named = {"prompts/get": {"name": "nothing"}, "resources/read": {"uri": "x://nothing"}}
    for method, params in named.items():
        wrong = without(HEADERS, "Mcp-Name") | {"Mcp-Method": method}
        assert told(app.mcp(rpc(method, **params, _meta=META), token, wrong)) == (400, -32020), method
        assert told(app.mcp(rpc(method, **params, _meta=META), token, wrong | {"Mcp-Name": "other"})) == (400, -32020)


def test_header_names_have_no_case_and_values_have(app: App, token: str) -> None:
    """T-25: MCP transport "Case Sensitivity"."""
    lower = {name.lower(): value for name, value in HEADERS.items()}
    upper = {name.upper(): value for name, value in HEADERS.items()}
    assert [app.mcp(WHOAMI, token, sent).status_code for sent in (lower, upper)] == [200, 200]
    assert told(app.mcp(WHOAMI, token, HEADERS | {"Mcp-Method": "Tools/Call"})) == (400, -32020)
    assert told(app.mcp(WHOAMI, token, HEADERS | {"Mcp-Name": "Whoami"})) == (400, -32020)


def test_every_result_says_what_it_is_and_who_gave_it(app: App, token: str) -> None:
    """T-18, T-19, T-20: MCP basic "Responses", caching: nothing of ours may be shared between tokens."""
    for method in ("server/discover", *LISTS):
        result = app.modern(method, token).json()["result"]
        assert (result["resultType"], result["cacheScope"]) == ("complete", "private"), method
        assert result["ttlMs"] >= 0
        assert result["_meta"][INFO]["name"] == "gatehouse"
    called = app.modern("tools/call", token, "whoami", arguments={}).json()["result"]
    assert called["resultType"] == "complete"
    assert called["_meta"][INFO]["name"] == "gatehouse"
    listed = [app.modern("tools/list", token).json()["result"]["tools"] for _ in range(3)]
    assert listed[0] == listed[1] == listed[2]


def test_the_answer_is_one_json_object_and_never_a_stream(app: App, token: str) -> None:
    """T-5, T-6, T-7: MCP transport "Receiving Messages"; whoever cannot take JSON is told so."""
    for headers in (HEADERS, {"MCP-Protocol-Version": "2025-11-25"}):
        answer = app.mcp(WHOAMI, token, headers)
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["id"] == 1
        assert app.mcp(WHOAMI, token, headers | {"Accept": "text/html"}).status_code == 406


def test_a_response_or_a_batch_is_no_request(app: App, token: str) -> None:
    """T-4, L-2: MCP transport "Sending Messages" in the newest revision; the handshake era lets a client answer (202)."""
    response = {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert 400 <= app.mcp(response, token, without(HEADERS, "Mcp-Name")).status_code < 500
    assert app.mcp(response, token, {"MCP-Protocol-Version": "2025-11-25"}).status_code == 202
    for version in ("2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"):
        assert app.mcp([rpc("tools/list")], token, {"MCP-Protocol-Version": version}).status_code == 400


def test_the_handshake_era_keeps_its_own_errors(app: App, token: str) -> None:
    """L-3, L-4, L-5: 2025-11-25 basic/transports "Protocol Version Header", basic/utilities/ping."""
    legacy = {"MCP-Protocol-Version": "2025-11-25"}
    assert app.mcp(rpc("ping"), token, legacy).json()["result"] == {}
    assert told(app.mcp(rpc("tools/unheard-of"), token, legacy)) == (200, -32601)
    assert app.mcp(rpc("tools/list"), token, {"MCP-Protocol-Version": "2025-13-01"}).status_code == 400
    client = {"protocolVersion": "2099-01-01", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    agreed = app.mcp(rpc("initialize", **client), token).json()["result"]["protocolVersion"]
    assert agreed == "2025-11-25", "the newest revision that begins with a handshake"


def test_headers_of_a_tools_own_are_compared_too(app: App, browser: Browser, examples: House) -> None:
    """T-14, T-16: MCP transport "Server Behavior for Custom Headers", basic "Client capabilities"; tools of others, our guard."""
    there = App(examples.url)
    there.register()
    token = there.connect(Browser(examples.url))["access_token"]

    def call(headers: dict[str, str]) -> httpx2.Response:
        return there.modern("tools/call", token, "test_custom_header", headers, arguments={"region": "eu"})

    assert call({"Mcp-Param-Region": "eu"}).status_code == 200
    for wrong in ({"Mcp-Param-Region": "us"}, {}):
        assert told(call(wrong)) == (400, -32020), wrong
    needs = there.modern("tools/call", token, "test_missing_capability", arguments={})
    assert told(needs) == (400, -32021)
    assert json.loads(needs.content)["error"]["data"]["requiredCapabilities"] == {"sampling": {}}
