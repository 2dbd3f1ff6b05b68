"""Several MCP servers behind one door: Python backends with their lifespan, rules for each tool, calls counted for every one."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.types import Scope, Send

from tests import servers
from tests.actors import OPENED, App, Browser, http, said
from tests.conftest import House, emptied

FILE = Path(__file__).parent / "gatehouse.toml"
ERAS = ["2025-11-25", "2026-07-28"]
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


@pytest.fixture(scope="module")
def served_many(dsn: str) -> Iterator[House]:
    servers.BEGUN.clear()
    house = House(dsn, resources_file=FILE).start()
    assert servers.BEGUN == ["start", "echo start"]
    yield house
    house.stop()
    assert sorted(servers.BEGUN[2:]) == ["echo stop", "stop"]


@pytest.fixture
def house(served_many: House) -> Iterator[House]:
    servers.echo.answer = servers.as_json
    servers.echo.came.clear()
    yield emptied(served_many)
    while OPENED:
        OPENED.pop().close()


@pytest.fixture
def app(house: House) -> App:
    house.add_user()
    app = App(house.url, path="/repos/mcp")
    app.register()
    return app


def connect(app: App, browser: Browser, path: str, scope: str | None = None) -> str:
    """A token for that resource, which the app calls from now on."""
    app.path = path
    token: str = app.connect(browser, resource=f"{app.url}{path}", scope=scope)["access_token"]
    return token


def ask(app: App, token: str, era: str, method: str, name: str | None = None, **params: Any) -> httpx2.Response:
    if era == "2026-07-28":
        return app.modern(method, token, name, **params)
    named = {"name": name} if name is not None else {}
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params | named}
    return app.mcp(message, token, {"MCP-Protocol-Version": era})


def raw(app: App, token: str, body: bytes, **headers: str) -> httpx2.Response:
    return app.mcp(body, token, {name.replace("_", "-"): value for name, value in headers.items()})


def calls(house: House) -> dict[str, int]:
    house.wait_for(house.world.tally.flush())
    return {str(tool): int(str(number)) for tool, number in house.sql("SELECT tool, calls FROM tool_calls")}


# Python backends -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
def test_a_server_of_the_sdk_knows_who_calls(app: App, browser: Browser, house: House, era: str) -> None:
    """Through `get_access_token()` and through `scope["state"]`; nothing of the credentials is passed on."""
    token = connect(app, browser, "/repos/mcp", "repo:write")
    app.http.cookies.set("gatehouse", "a cookie")
    seen = said(ask(app, token, era, "tools/call", "list_repos", arguments={}))["result"]["structuredContent"]
    (user,) = house.sql("SELECT id FROM users")
    assert seen["subject"] == seen["principal"] == user[0]
    assert (seen["client"], seen["resource"]) == (app.client_id, f"{app.url}/repos/mcp")
    assert seen["scopes"] == ["repo:read", "repo:write"]
    assert not {"authorization", "cookie", "accept-encoding"} & seen["headers"].keys()
    assert token not in json.dumps(seen)


def test_an_asgi_app_is_given_one_message_at_its_own_path(app: App, browser: Browser) -> None:
    token = connect(app, browser, "/echo/mcp")
    body = b'{"id":7,"jsonrpc":"2.0", "method":"ping", "method" : "tools/list"}'
    assert raw(app, token, body).json()["result"]["echo"] == {"id": 7, "jsonrpc": "2.0", "method": "tools/list"}
    scope, came = servers.echo.came[-1]
    assert (scope["path"], came) == ("/inside", b'{"id":7,"jsonrpc":"2.0","method":"tools/list"}')
    assert scope["state"]["shelf"] == "full"
    assert scope["state"]["message"] == json.loads(came)
    assert scope["state"]["principal"].client_id == app.client_id


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_other_methods_go_where_they_are_wanted(app: App, browser: Browser, method: str) -> None:
    """An ASGI app may have streams and sessions; a stateless server of the SDK has neither. No body goes with them."""
    token = connect(app, browser, "/echo/mcp")
    headers = {"Authorization": f"Bearer {token}", "Mcp-Session-Id": "s"}
    answer = app.http.request(method, f"{app.url}/echo/mcp", headers=headers, content=b'{"method":"tools/call"}')
    assert answer.status_code == 200
    scope, body = servers.echo.came[-1]
    assert (scope["method"], body, dict(scope["headers"])[b"mcp-session-id"]) == (method, b"", b"s")
    assert app.http.request(method, f"{app.url}/echo/mcp").status_code == 401
    token = connect(app, browser, "/repos/mcp")
    answer = app.http.request(method, f"{app.url}/repos/mcp", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert app.http.request("PUT", f"{app.url}/echo/mcp", headers=headers).status_code == 405


# Rules ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
def test_a_tool_needs_its_scope(app: App, browser: Browser, era: str) -> None:
    """403 with the challenge for what is missing, at this resource; `repo:write` includes `repo:read`."""
    token = connect(app, browser, "/repos/mcp", "repo:read")
    assert "result" in said(ask(app, token, era, "tools/call", "list_repos", arguments={}))
    refused = ask(app, token, era, "tools/call", "create_repo", arguments={"name": "x"})
    assert refused.status_code == 403
    challenge = refused.headers["www-authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="repo:read repo:write"' in challenge
    assert "/.well-known/oauth-protected-resource/repos/mcp" in challenge
    token = connect(app, browser, "/repos/mcp", "repo:write")
    made = said(ask(app, token, era, "tools/call", "create_repo", arguments={"name": "x"}))
    assert made["result"]["content"][0]["text"] == "made x"
    assert ask(app, token, era, "tools/call", "delete_repo", arguments={"name": "x"}).status_code == 403


@pytest.mark.parametrize("era", ERAS)
def test_what_nobody_may_call_is_not_there(app: App, browser: Browser, era: str) -> None:
    token = connect(app, browser, "/repos/mcp")
    refused = ask(app, token, era, "tools/call", "drop_everything", arguments={})
    assert refused.json()["error"]["code"] == -32602
    assert refused.json()["id"] == 1


def test_a_tool_without_a_rule_needs_every_scope(app: App, browser: Browser) -> None:
    """What the operator forgot is not open to who may only read."""
    token = connect(app, browser, "/repos/mcp", "repo:write")
    assert app.call("brand_new", token).status_code == 403
    assert app.call("brand_new", connect(app, browser, "/repos/mcp", "repo:admin")).status_code == 200


@pytest.mark.parametrize("era", ERAS)
def test_the_list_is_each_callers_own(app: App, browser: Browser, era: str) -> None:
    """Hidden from who may not call it, in a JSON answer and in a stream (the SDK streams at 2025-11-25)."""
    lists = {}
    for scope in ("repo:write", "repo:admin"):
        token = connect(app, browser, "/repos/mcp", scope)
        answer = ask(app, token, era, "tools/list")
        lists[scope] = [tool["name"] for tool in said(answer)["result"]["tools"]]
        assert said(answer)["result"].get("cacheScope", "private") == "private"
    assert lists["repo:admin"] == list(servers.TOOLS)
    assert lists["repo:write"] == [name for name in servers.TOOLS if name != "delete_repo"]


def tools(*names: str) -> dict[str, Any]:
    listed = [{"name": name, "inputSchema": {}} for name in names]
    return {"jsonrpc": "2.0", "id": 1, "result": {"tools": listed, "cacheScope": "public", "nextCursor": "x"}}


ALL = tools("open", "forbidden", "secret_one")
STREAM = (
    b'id: 1\ndata:\n\n: ping\n\nevent: message\nid: 2\ndata: {"jsonrpc":"2.0","method":"notifications/message"}\n\n'
)


def chunked(text: bytes, size: int) -> list[bytes]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_stream_is_filtered_wherever_it_is_cut(app: App, browser: Browser, ending: bytes, size: int) -> None:
    """Events pass as they came; only the one with the list is another, with its id and its name."""
    text = json.dumps(ALL).encode()
    cut = text.index(b'"result"')
    halves = b"event: message\nid: 3\ndata: " + text[:cut] + b"\ndata: " + text[cut:] + b"\n\n"
    stream = (STREAM + halves).replace(b"\n", ending)

    async def answer(scope: Scope, body: bytes, send: Send) -> None:
        await servers.streamed(send, *chunked(stream, size))

    servers.echo.answer = answer
    listed = raw(app, connect(app, browser, "/echo/mcp", "read"), json.dumps(LIST).encode())
    assert listed.content.startswith(STREAM.replace(b"\n", ending))
    assert [tool["name"] for tool in said(listed)["result"]["tools"]] == ["open"]
    assert said(listed)["result"] | {"tools": []} == {"tools": [], "cacheScope": "private", "nextCursor": "x"}
    assert b"id: 3" in listed.content
    assert b"secret" not in listed.content


@pytest.mark.parametrize(
    ("body", "kind", "coding"),
    [
        (b"not json", b"application/json", ""),
        (gzip.compress(json.dumps(ALL).encode(), mtime=0), b"application/json", "gzip"),
        (json.dumps(ALL).encode(), b"application/json", "br"),
        (json.dumps([ALL]).encode(), b"application/json", ""),
        (b"<html>secret_one</html>", b"text/html", ""),
        (b'{"a":"' + b"x" * (4 * 1024 * 1024) + b'"}', b"application/json", ""),
        (b"data: " + b"x" * 5_000_000 + b"\n\n", b"text/event-stream", ""),
        (b"data: secret_one\n\n", b"text/event-stream", ""),
    ],
)
def test_a_list_that_cannot_be_read_is_not_passed_on(
    app: App, browser: Browser, body: bytes, kind: bytes, coding: str
) -> None:
    """Fail closed, with the caller's id; the next request is served."""

    async def answer(scope: Scope, sent: bytes, send: Send) -> None:
        await servers.whole(send, body, kind, coding=coding)

    servers.echo.answer = answer
    token = connect(app, browser, "/echo/mcp")
    refused = raw(app, token, json.dumps(LIST).encode())
    assert refused.status_code == (200 if b"event-stream" in kind else 502)
    assert said(refused)["error"]["code"] == -32603
    assert (said(refused)["id"], "request_id" in said(refused)["error"]["data"]) == (1, True)
    assert b"secret_one" not in refused.content
    servers.echo.answer = servers.as_json
    assert raw(app, token, b'{"jsonrpc":"2.0","id":1,"method":"ping"}').status_code == 200


def test_a_list_that_comes_later_is_filtered_too(app: App, browser: Browser) -> None:
    """GET resumes a stream, and may bring the answer to a `tools/list` that was lost."""

    async def answer(scope: Scope, sent: bytes, send: Send) -> None:
        await servers.streamed(send, b"data: " + json.dumps(ALL).encode() + b"\n\n")

    servers.echo.answer = answer
    token = connect(app, browser, "/echo/mcp", "read")
    resumed = app.http.get(f"{app.url}/echo/mcp", headers={"Authorization": f"Bearer {token}", "Last-Event-ID": "1"})
    assert [tool["name"] for tool in said(resumed)["result"]["tools"]] == ["open"]


def test_a_tool_may_be_called_so_often(app: App, browser: Browser, house: House) -> None:
    """Three in a minute, of one person with whatever token; 429 with when to come again; others are not concerned."""
    tokens = [connect(app, browser, "/repos/mcp", "repo:write") for _ in range(2)]
    answers = [app.call("create_repo", tokens[turn % 2], name="x") for turn in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 1 <= int(answers[3].headers["retry-after"]) <= 60
    error = answers[3].json()["error"]
    assert (answers[3].json()["id"], 1 <= error["data"]["retry_after"] <= 60) == (1, True)
    assert app.call("rename_repo", tokens[0], name="x").status_code == 200
    house.add_user("eve@example.com")
    other = Browser(house.url)
    page = other.sign_in(other.open(app.authorize_url(resource=f"{app.url}/repos/mcp")), email="eve@example.com")
    theirs = app.redeem(other.decide(page).answer["code"]).json()["access_token"]
    assert app.call("create_repo", theirs, name="x").status_code == 200
    house.turn_clock(seconds=61)
    assert app.call("create_repo", tokens[0], name="x").status_code == 200


# Bodies --------------------------------------------------------------------------------------------------------------

CALL = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"forbidden"}}'


@pytest.mark.parametrize(
    "body",
    [
        CALL,
        b'{"jsonrpc":"2.0","id":1,"method":"tools\\u002fcall","params":{"name":"forb\\u0069dden"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"x","name":"forbidden"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"},"params":{"name":"forbidden"}}',
        b'{"jsonrpc":"2.0","id":1,"m\\u0065thod":"tools/call","params":{"n\\u0061me":"forbidden"}}',
        b"\n\t " + CALL + b" \n",
    ],
)
def test_no_spelling_slips_through(app: App, browser: Browser, body: bytes) -> None:
    """Whatever the body looks like, the rule is that of what the backend would read."""
    answer = raw(app, connect(app, browser, "/echo/mcp"), body)
    assert "Unknown tool: forbidden" in answer.json()["error"]["message"]
    assert not servers.echo.came


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"[" + CALL + b"]", {}),
        (CALL + CALL, {}),
        (gzip.compress(CALL, mtime=0), {"Content_Encoding": "gzip"}),
        (CALL.decode().encode("utf-16"), {}),
        (b"\xef\xbb\xbf" + CALL, {}),
        (CALL.replace(b'"forbidden"', b'["forbidden"]'), {}),
        (CALL.replace(b'"tools/call"', b'["tools/call"]'), {}),
        (CALL.replace(b'{"name":"forbidden"}', b'["forbidden"]'), {}),
        (CALL.replace(b"forbidden", b"forb\xffidden"), {}),
        (CALL.replace(b'"id":1', b'"id":NaN'), {}),
        (CALL[:-1], {}),
        (b"", {}),
        (b"null", {}),
        # What is another key to us is the same to servers in Go, whatever its case (CVE-2026-27896), and to some in C.
        (CALL.replace(b'{"name":"forbidden"', b'{"name":"open","Name":"forbidden"'), {}),
        (CALL.replace(b'{"name":"forbidden"', b'{"name":"open","name\\u0000":"forbidden"'), {}),
        (CALL.replace(b'"method":"tools/call"', b'"method":"ping","Method":"tools/call"'), {}),
        (CALL.replace(b'"method":"tools/call"', b'"METHOD":"tools/call"'), {}),
        (CALL.replace(b'"forbidden"}', '"open"},"param\u017f":{"name":"forbidden"}'.encode()), {}),
        (CALL.replace(b'"forbidden"', b'"open","arguments":{"a":1e999}'), {}),
        (CALL.replace(b"forbidden", b"forbidden "), {}),
        (CALL.replace(b"forbidden", b"forbidden\\u0000"), {}),
        (CALL.replace(b"forbidden", b"forbidden\\u200b"), {}),
        (CALL.replace(b"forbidden", b"a" * 129), {}),
        (CALL.replace(b"forbidden", b""), {}),
        (CALL.replace(b"forbidden", b"open"), {"Mcp_Name": "forbidden"}),
        (CALL.replace(b"forbidden", b"open"), {"Mcp_Method": "tools/list"}),
        (CALL.replace(b"forbidden", b"open"), {"Mcp_Name": "=?base64?Zm9yYmlkZGVu?="}),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(
    app: App, browser: Browser, body: bytes, headers: dict[str, str]
) -> None:
    answer = raw(app, connect(app, browser, "/echo/mcp"), body, **headers)
    assert answer.status_code == 400
    assert "error" in answer.json()
    assert not servers.echo.came


def test_neither_charset_nor_coding_is_passed_on(app: App, browser: Browser) -> None:
    """A server that believes `charset=utf-7` would read another name than the rules did."""
    token = connect(app, browser, "/echo/mcp")
    body = CALL.replace(b"forbidden", b"+AGY-orbidden")
    sent = {"Content_Type": "application/json; charset=utf-7", "Content_Encoding": "identity"}
    assert raw(app, token, body, **sent).status_code == 200
    headers = dict(servers.echo.came[-1][0]["headers"])
    assert headers[b"content-type"] == b"application/json"
    assert b"content-encoding" not in headers
    assert int(headers[b"content-length"]) == len(servers.echo.came[-1][1])


def test_a_body_in_chunks_is_one_message(app: App, browser: Browser) -> None:
    token, host = connect(app, browser, "/echo/mcp"), urlsplit(app.url)
    head = f"POST /echo/mcp HTTP/1.1\r\nHost: {host.netloc}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n"
    head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunked(CALL, 5)) + b"0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", host.port or 0), 10) as connection:
        connection.sendall(head.encode() + chunks)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b"Unknown tool: forbidden" in answer
    assert not servers.echo.came


def test_a_fault_has_the_id_of_its_message(app: App, browser: Browser) -> None:
    """JSON-RPC 2.0 §5: null only where it could not be read."""
    token = connect(app, browser, "/echo/mcp")
    answer = raw(app, token, b'{"jsonrpc":"2.0","id":"x-9","method":"tools/call","params":{}}')
    assert (answer.status_code, answer.json()["id"]) == (400, "x-9")
    answer = raw(app, token, b'{"jsonrpc":"2.0","id":9,"method":"ping","secret":}')
    assert (answer.status_code, answer.json()["id"]) == (400, None)
    assert "line 1 column 50" in answer.json()["error"]["message"]
    assert "secret" not in answer.text


def test_whoever_says_nothing_of_what_it_takes_takes_anything(app: App, browser: Browser) -> None:
    """RFC 9110 §12.5.1; Python's urllib says nothing, and MCP servers want to hear it."""
    token, host = connect(app, browser, "/echo/mcp"), urlsplit(app.url)
    head = f"POST /echo/mcp HTTP/1.1\r\nHost: {host.netloc}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n"
    body = CALL.replace(b"forbidden", b"open")
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", host.port or 0), 10) as connection:
        connection.sendall(head.encode() + body)
        assert b" 200 " in connection.recv(65536)
    assert dict(servers.echo.came[-1][0]["headers"])[b"accept"] == b"application/json, text/event-stream"


# Counting ------------------------------------------------------------------------------------------------------------


def test_calls_that_worked_are_counted_for_every_backend(app: App, browser: Browser, house: House) -> None:
    """No JSON-RPC error, not the tool's own; under the name of the resource, where it is not the default."""
    token = connect(app, browser, "/repos/mcp")
    for name in ("x", "taken"):
        app.call("create_repo", token, name=name)
    app.call("no_such_tool", token)
    app.modern("tools/call", token, "list_repos", arguments={})
    app.call("rename_repo", token, name="x")
    app.mcp(LIST, token)
    app.call("whoami", connect(app, browser, "/mcp"))
    token = connect(app, browser, "/echo/mcp")
    app.call("anything", token)

    async def long_answer(scope: Scope, body: bytes, send: Send) -> None:
        await servers.whole(
            send, json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"content": "x" * 100_000}}).encode()
        )

    servers.echo.answer = long_answer
    app.call("long", token)

    async def failing(scope: Scope, body: bytes, send: Send) -> None:
        await servers.whole(send, b'{"jsonrpc":"2.0","id":1,"result":{}}', status=500)

    servers.echo.answer = failing
    app.call("failing", token)
    expected = {"repos/create_repo": 1, "repos/list_repos": 1, "repos/rename_repo": 1, "whoami": 1}
    assert calls(house) == expected | {"echo/anything": 1, "echo/long": 1}


def test_a_backend_that_raises_is_its_own_fault(app: App, browser: Browser) -> None:
    """A JSON-RPC error with the caller's id, without its words; the next call is served."""

    async def raising(scope: Scope, body: bytes, send: Send) -> None:
        raise RuntimeError("the password is hunter2")

    servers.echo.answer = raising
    token = connect(app, browser, "/echo/mcp")
    answer = raw(app, token, b'{"jsonrpc":"2.0","id":9,"method":"ping"}')
    assert (answer.status_code, answer.json()["id"], answer.json()["error"]["code"]) == (500, 9, -32603)
    assert "hunter2" not in answer.text
    servers.echo.answer = servers.as_json
    assert raw(app, token, b'{"jsonrpc":"2.0","id":9,"method":"ping"}').status_code == 200


def test_browsers_of_elsewhere_are_turned_away_everywhere(house: House) -> None:
    visitor = http()
    for path in ("/mcp", "/repos/mcp", "/echo/mcp"):
        answer = visitor.post(house.url + path, json={}, headers={"Origin": "https://evil.example"})
        assert answer.status_code == 403
        allowed = visitor.options(house.url + path).headers["access-control-allow-methods"]
        assert allowed == ("GET, POST, DELETE" if path == "/echo/mcp" else "POST")
