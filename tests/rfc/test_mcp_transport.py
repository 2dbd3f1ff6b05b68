"""MCP streamable HTTP, 2026-07-28 and the handshake revisions before it, on one address, stateless."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.actors import App, Browser

LEGACY = ["2025-03-26", "2025-06-18", "2025-11-25", None]


@pytest.fixture
def token(app: App, browser: Browser) -> str:
    token: str = app.connect(browser)["access_token"]
    return token


def rpc(method: str, identifier: int | None = 1, /, **params: Any) -> dict[str, Any]:
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
    return message if identifier is None else message | {"id": identifier}


@pytest.mark.parametrize("version", LEGACY)
def test_the_handshake_era_works(app: App, token: str, version: str | None) -> None:
    """2025-11-25 basic/lifecycle; no session is needed, an unknown one is ignored."""
    client = {
        "protocolVersion": version or "2025-03-26",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    assert app.mcp(rpc("initialize", **client), token).json()["result"]["serverInfo"]["name"] == "gatehouse"
    headers = {"MCP-Protocol-Version": version} if version else {}
    assert app.mcp(rpc("notifications/initialized", None), token, headers).status_code == 202
    listed = app.mcp(rpc("tools/list"), token, headers | {"Mcp-Session-Id": "unknown"}).json()["result"]["tools"]
    tools = {"whoami", "list_notes", "add_note", "delete_note", "service_profile", "service_email"}
    assert tools == {tool["name"] for tool in listed}
    assert app.call("whoami", token, headers).json()["result"]["structuredContent"]["via"] == "authorization_code"


def test_the_stateless_era_works(app: App, token: str) -> None:
    """2026-07-28 server/discover: supportedVersions, ttlMs, cacheScope private, resultType."""
    result = app.modern("server/discover", token).json()["result"]
    assert "2026-07-28" in result["supportedVersions"]
    assert (result["cacheScope"], result["resultType"]) == ("private", "complete")
    assert result["ttlMs"] >= 0
    called = app.modern("tools/call", token, "whoami", arguments={}).json()["result"]
    assert called["structuredContent"]["scopes"] == ["read", "write"]


def test_mismatched_headers_are_refused(app: App, token: str) -> None:
    """Standard request headers: 400 -32020."""
    for headers in ({"Mcp-Name": "add_note"}, {"Mcp-Method": "tools/list"}, {"MCP-Protocol-Version": "2027-01-01"}):
        refused = app.modern("tools/call", token, "whoami", headers, arguments={})
        assert refused.status_code == 400, headers
        assert refused.json()["error"]["code"] in (-32020, -32022)


def test_blanks_around_a_header_are_no_part_of_it(app: App, token: str) -> None:
    """RFC 9110 §5.5, as the conformance suite's http-header-validation asks; raw, because clients refuse to send it."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    body = json.dumps(rpc("tools/call", name="whoami", arguments={}, _meta=meta)).encode()
    host = urlsplit(app.url)
    sent = {"Host": host.netloc, "Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    sent |= {"Accept": "application/json, text/event-stream", "Content-Length": str(len(body)), "Connection": "close"}
    sent |= {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "whoami"}
    head = "".join(f"{name}: \t {value} \t\r\n" for name, value in sent.items())
    with socket.create_connection(("127.0.0.1", host.port or 0), 10) as connection:
        connection.sendall(f"POST /mcp HTTP/1.1\r\n{head}\r\n".encode() + body)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 "), answer


def test_the_version_said_twice_counts_once(app: App, token: str) -> None:
    """Real clients send `2025-11-25, 2025-11-25`."""
    assert app.call("whoami", token, {"MCP-Protocol-Version": "2025-11-25, 2025-11-25"}).status_code == 200


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_streams_and_sessions_are_not_offered(app: App, token: str, method: str) -> None:
    """405 with Allow, at once rather than after an idle stream."""
    response = app.http.request(method, f"{app.url}/mcp", headers={"Authorization": f"Bearer {token}"})
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


def test_the_address_with_a_slash_is_the_same_address(app: App, token: str) -> None:
    response = app.http.post(
        f"{app.url}/mcp/",
        json=rpc("tools/list"),
        headers={"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"},
    )
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"not json", 400),
        (b'"text"', 400),
        (b"[]", 400),
        (b'{"jsonrpc":"2.0","id":1,"method":', 400),
        (b"[" * 100_000, 400),
        (b'{"a":' * 100_000, 400),
        (b'{"jsonrpc":"2.0","id":1,"method":5}', 400),
        (b"x" * (4 * 1024 * 1024 + 1), 413),
        (b"\x1f\x8b\x08\x00", 400),
    ],
)
def test_what_is_no_message_is_refused(app: App, token: str, body: bytes, status: int) -> None:
    assert app.mcp(body, token).status_code == status
    assert app.call("whoami", token).status_code == 200


def test_an_unknown_prompt_or_resource_is_the_callers_fault(
    app: App, token: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """server/prompts and server/resources "Error Handling": -32602, in both eras, and nothing about it in the error log."""
    unknown = "x://nothing"
    answers = [
        app.modern("prompts/get", token, "nothing"),
        app.mcp(rpc("prompts/get", name="nothing"), token),
        app.modern("resources/read", token, headers={"Mcp-Name": unknown}, uri=unknown),
        app.mcp(rpc("resources/read", uri=unknown), token),
    ]
    assert [answer.json()["error"]["code"] for answer in answers] == [-32602] * 4
    assert not capfd.readouterr().err


def test_an_unknown_tool_and_wrong_arguments_are_the_callers_fault(app: App, token: str) -> None:
    for response in (app.call("nothing", token), app.call("add_note", token), app.call("add_note", token, text="")):
        assert response.status_code == 200
        answer = response.json()
        assert "error" in answer or answer["result"]["isError"]
        assert "Traceback" not in response.text
