"""A stdio server reached over HTTP, in both eras: what its callers see, and that they never meet (MCP transports)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from tests.conftest import House, emptied
from tests.stdio_house import Caller, script, speaking

SCRIPT = """
TOOLS += [{"name": "headed", "inputSchema": {"type": "object", "properties": {"to": {"type": "string", "x-mcp-header": "To"}}}}]
seen, waiting, asked_of_us = [], {}, []
def call(asked, name, **arguments):
    seen.append({"id": asked["id"], **asked["params"]})
    token = asked["params"].get("_meta", {}).get("progressToken")
    if name in ("headed",): text(asked, "x")
    elif name == "echo": text(asked, arguments["words"])
    elif name == "wait": waiting[arguments["who"]] = asked
    elif name == "release":
        for one in arguments["names"]: text(waiting.pop(one), one)
        text(asked, "released")
    elif name == "progress":
        for i in range(3): note(method="notifications/progress", params={"progressToken": token, "progress": i, "total": 3})
        text(asked, arguments["words"])
    elif name == "change":
        for what in ("tools", "tools", "prompts"): note(method=f"notifications/{what}/list_changed")
        text(asked, "changed")
    elif name == "log":
        note(method="notifications/message", params={"level": "info", "data": arguments["words"]})
        text(asked, "logged")
    elif name == "ask":
        for i, method in enumerate(["ping", "sampling/createMessage", "roots/list", "elicitation/create"]):
            say({"id": f"mine-{i}", "method": method, "params": {}})
        text(asked, "asked")
    elif name == "missing": say({"id": asked["id"], "error": {"code": -32002, "message": "no such resource", "data": {"uri": "x"}}})
    elif name == "seen": text(asked, json.dumps(seen))
    elif name == "heard": text(asked, json.dumps(asked_of_us))
def heard(asked): asked_of_us.append(asked)
"""


@pytest.fixture(scope="module")
def served_shared(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with speaking(dsn, script(tmp_path_factory.mktemp("shared"), SCRIPT), timeout=20) as house:
        yield house


@pytest.fixture
def shared(served_shared: House) -> House:
    return emptied(served_shared)


@pytest.fixture
def ada(shared: House) -> Caller:
    return Caller(shared)


def events(response: httpx2.Response) -> list[dict[str, Any]]:
    assert response.headers["content-type"] == "text/event-stream"
    return [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: ")]


def test_initialize_is_answered_for_the_server(ada: Caller) -> None:
    """In the client's version; without what a server must not offer to several (lifecycle "Version Negotiation")."""
    for version in ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"):
        result = ada.ask("initialize", protocolVersion=version, capabilities={}).json()["result"]
        assert result["protocolVersion"] == version
    result = ada.ask("initialize", protocolVersion="1999-01-01", capabilities={}).json()["result"]
    assert result["protocolVersion"] == "2025-11-25"
    assert result["capabilities"] == {"tools": {"listChanged": True}, "resources": {}}
    assert result["serverInfo"] == {"name": "script", "version": "1"}
    assert result["instructions"] == "be kind"
    assert ada.tell("notifications/initialized").status_code == 202
    assert ada.ask("ping").json() == {"jsonrpc": "2.0", "id": 1, "result": {}}


def test_discover_is_answered_for_the_server(ada: Caller) -> None:
    """2026-07-28 server/discover; the results of what a client may keep say for how long, and that it is its own."""
    result = ada.modern("server/discover").json()["result"]
    assert result["supportedVersions"] == ["2026-07-28"]
    assert result["capabilities"] == {"tools": {"listChanged": True}, "resources": {}}
    assert (result["resultType"], result["ttlMs"], result["cacheScope"]) == ("complete", 0, "private")
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "script"
    listed = ada.modern("tools/list").json()["result"]
    assert (listed["resultType"], listed["ttlMs"], listed["cacheScope"]) == ("complete", 0, "private")


def test_a_call_of_the_newest_era_reaches_a_server_of_the_handshake(ada: Caller) -> None:
    """What the envelope says of the caller is not for a server that does not know it."""
    meta = {"io.modelcontextprotocol/clientInfo": {"name": "x", "version": "1"}, "of.mine/note": 7}
    called = ada.modern("tools/call", "a", name="echo", arguments={"words": "hello"}, _meta=meta).json()
    assert called["id"] == "a"
    assert called["result"]["content"][0]["text"] == "hello"
    assert called["result"]["resultType"] == "complete"
    last = json.loads(ada.said("seen"))[-2]
    assert last["_meta"] == {"of.mine/note": 7}


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Mcp-Method": "tools/list"}, -32020),
        ({"Mcp-Name": "other"}, -32020),
        ({"MCP-Protocol-Version": "2031-01-01"}, -32020),
    ],
)
def test_headers_that_differ_from_the_body_are_refused(ada: Caller, headers: dict[str, str], code: int) -> None:
    """2026-07-28 streamable HTTP "Server Validation"."""
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
    sent = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "echo"}
    response = ada.ask("tools/call", 1, sent | headers, name="echo", arguments={}, _meta=meta)
    assert (response.status_code, response.json()["error"]["code"]) == (400, code)
    bare = ada.ask("tools/call", 1, sent, name="echo", arguments={})
    assert (bare.status_code, bare.json()["error"]["code"]) == (400, -32602)


def test_errors_of_the_server_are_passed_on_in_the_words_of_the_era(ada: Caller) -> None:
    """404 for an unknown method, and -32602 for a resource that is not there, since 2026-07-28."""
    before = ada.ask("no/such")
    assert (before.status_code, before.json()["error"]["code"]) == (200, -32601)
    after = ada.modern("no/such")
    assert (after.status_code, after.json()["error"]["code"]) == (404, -32601)
    assert ada.call("missing").json()["error"] == {"code": -32002, "message": "no such resource", "data": {"uri": "x"}}
    since = ada.modern("tools/call", name="missing", arguments={})
    assert (since.status_code, since.json()["error"]["code"]) == (400, -32602)


def test_callers_who_count_alike_get_their_own_answers(shared: House, ada: Caller) -> None:
    """Ids are rewritten: both are 1, and the answers come in the other order."""
    bob = Caller(shared, "bob@example.com")
    with ThreadPoolExecutor() as pool:
        first = pool.submit(ada.call, "wait", 1, who="first")
        second = pool.submit(bob.call, "wait", 1, who="second")
        until(ada, lambda seen: {"first", "second"} <= {one["arguments"].get("who") for one in seen})
        ada.call("release", names=["second", "first"])
        assert first.result().json()["result"]["content"][0]["text"] == "first"
        assert second.result().json()["result"]["content"][0]["text"] == "second"
        assert first.result().json()["id"] == second.result().json()["id"] == 1


def test_progress_reaches_whom_it_is_for(shared: House, ada: Caller) -> None:
    """As events on the answer of the POST, with the caller's own token (MCP utilities "Progress")."""
    bob = Caller(shared, "bob@example.com")
    with ThreadPoolExecutor() as pool:
        each = [
            pool.submit(who.call, "progress", 5, {"progressToken": "t"}, words=who.url + str(i))
            for i, who in enumerate([ada, bob])
        ]
        for i, future in enumerate(each):
            *progress, last = events(future.result())
            assert [one["params"] for one in progress] == [
                {"progressToken": "t", "progress": n, "total": 3} for n in range(3)
            ]
            assert last["id"] == 5
            assert last["result"]["content"][0]["text"].endswith(str(i))


def test_whoever_takes_no_events_gets_the_answer_alone(ada: Caller) -> None:
    ada.http.headers["Accept"] = "application/json"
    response = ada.call("progress", meta={"progressToken": 3}, words="x")
    assert response.headers["content-type"] == "application/json"
    assert response.json()["result"]["content"][0]["text"] == "x"
    ada.http.headers["Accept"] = "text/event-stream"
    assert events(ada.call("echo", words="y"))[-1]["result"]["content"][0]["text"] == "y"
    ada.http.headers["Accept"] = "text/html"
    assert ada.call("echo", words="y").status_code == 406


def test_a_cancelled_request_is_cancelled_at_the_server(shared: House, ada: Caller) -> None:
    """By its caller only: another's request of the same id goes on (MCP utilities "Cancellation")."""
    bob = Caller(shared, "bob@example.com")
    with ThreadPoolExecutor() as pool:
        mine = pool.submit(ada.call, "wait", 9, who="mine")
        other = pool.submit(bob.call, "wait", 9, who="other")
        seen = until(ada, lambda seen: {"mine", "other"} <= {one["arguments"].get("who") for one in seen})
        ada.tell("notifications/cancelled", requestId=9, reason="enough")
        assert mine.result().json()["error"]["message"] == "the request was cancelled"
        number = next(one["id"] for one in reversed(seen) if one["arguments"].get("who") == "mine")
        (cancelled,) = [one for one in notices(ada, "notifications/cancelled") if one["params"]["requestId"] == number]
        assert cancelled["params"]["reason"] == "enough"
        assert not other.done()
        ada.call("release", names=["other"])
        assert other.result().status_code == 200


@pytest.mark.parametrize("era", ["handshake", "2026-07-28"])
def test_whoever_leaves_cancels(ada: Caller, era: str) -> None:
    """2026-07-28 "Cancellation": closing the response is cancellation; before, nobody could fetch the answer any more."""
    ada.http.timeout = 0.5
    ask = ada.ask if era == "handshake" else ada.modern
    with pytest.raises(httpx2.ReadTimeout):
        ask("tools/call", name="wait", arguments={"who": era})
    ada.http.timeout = 20
    number = json.loads(ada.said("seen"))[-2]["id"]
    until_noticed(ada, "notifications/cancelled", number)


def test_what_a_server_asks_its_client_is_refused(ada: Caller) -> None:
    """Which of several callers is meant cannot be told; only a ping is answered, for us all."""
    ada.call("ask")
    answers = {one["id"]: one for one in json.loads(ada.said("heard")) if str(one.get("id", "")).startswith("mine")}
    assert answers["mine-0"]["result"] == {}
    assert {answers[f"mine-{i}"]["error"]["code"] for i in (1, 2, 3)} == {-32601}


@pytest.mark.parametrize("method", ["logging/setLevel", "resources/subscribe", "tasks/list", "server/discover"])
def test_what_a_process_would_remember_of_one_caller_is_not_offered(ada: Caller, method: str) -> None:
    assert ada.ask(method, level="info", uri="x").json()["error"]["code"] == -32601
    if method != "server/discover":
        assert ada.modern(method, level="info", uri="x").status_code == 404
    assert method not in ada.said("heard")


def test_the_log_of_a_shared_server_is_nobodys(ada: Caller) -> None:
    response = ada.call("log", meta={"progressToken": 1}, words="somebody's secret")
    assert response.headers["content-type"] == "application/json"


def test_changes_are_told_to_those_who_listen(ada: Caller) -> None:
    """2026-07-28 subscriptions/listen: acknowledged, then told, once though it was said twice, and only what was wanted."""
    wanted = {"toolsListChanged": True, "promptsListChanged": True, "resourceSubscriptions": ["x:y"]}
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
    body = {
        "jsonrpc": "2.0",
        "id": 4,
        "method": "subscriptions/listen",
        "params": {"_meta": meta, "notifications": wanted},
    }
    headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "subscriptions/listen"}
    with ada.http.stream("POST", ada.url, json=body, headers=headers) as response:
        lines = (json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: "))
        first = next(lines)
        assert first["method"] == "notifications/subscriptions/acknowledged"
        # The script has no prompts that change.
        assert first["params"]["notifications"] == {"toolsListChanged": True}
        other = httpx2.Client(headers=ada.headers)
        called = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "change", "arguments": {}}}
        with other:
            other.post(ada.url, json=called)
        told = next(lines)
        assert told["method"] == "notifications/tools/list_changed"
        assert told["params"]["_meta"] == {"io.modelcontextprotocol/subscriptionId": 4}


def test_changes_are_told_to_a_client_of_the_handshake_who_listens(ada: Caller) -> None:
    """MCP 2025-11-25 "Listening for Messages from the Server": GET."""
    ada.ask("initialize", protocolVersion="2025-11-25")
    with ada.http.stream("GET", ada.url, headers={"Accept": "text/event-stream"}) as response:
        assert response.headers["content-type"] == "text/event-stream"
        lines = response.iter_lines()
        next(lines)  # it is open
        with httpx2.Client(headers=ada.headers) as other:
            called = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "change", "arguments": {}}}
            other.post(ada.url, json=called)
        told = json.loads(next(line for line in lines if line.startswith("data: "))[6:])
        assert told == {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
    assert ada.http.get(ada.url, headers={"Accept": "application/json"}).status_code == 405
    assert ada.http.delete(ada.url).status_code == 405


def test_a_listener_whose_token_ends_is_told_no_more(
    shared: House, ada: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream outlives no permission."""
    monkeypatch.setattr("app.gate.backends.stdio.streams.SILENCE", 0.1)
    ada.said("echo", words="x")
    with ada.http.stream("GET", ada.url, headers={"Accept": "text/event-stream"}) as response:
        lines = response.iter_lines()
        next(lines)
        (key,) = json.loads(shared.operator("api-key", "list", "--json"))
        shared.operator("api-key", "revoke", key["id"])
        shared.catch_up()
        assert all(not line or line.startswith(":") for line in lines), "and then it ends"


def test_where_too_many_listen_one_more_is_told_so(ada: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything else is said, and in both eras."""
    ada.said("echo", words="x")
    monkeypatch.setattr("app.gate.backends.stdio.streams.LISTENERS", 0)
    listening = ada.http.get(ada.url, headers={"Accept": "text/event-stream"})
    for response in (listening, ada.modern("subscriptions/listen", notifications={"toolsListChanged": True})):
        assert (response.status_code, response.headers["retry-after"]) == (503, "60")
        assert response.json()["error"]["data"]["error"] == "backend_busy"


@pytest.mark.parametrize(
    ("headers", "status"), [({}, 400), ({"Mcp-Param-To": "bob"}, 400), ({"Mcp-Param-To": "ada"}, 200)]
)
def test_mirrored_arguments_must_agree(ada: Caller, headers: dict[str, str], status: int) -> None:
    """2026-07-28 "Custom Headers": of tools whose list has gone by."""
    ada.modern("tools/list")
    ada.http.headers.update(headers)
    response = ada.modern("tools/call", name="headed", arguments={"to": "ada"})
    assert response.status_code == status
    if status == 400:
        assert response.json()["error"]["code"] == -32020


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"id": None}, -32600),
        ({"id": 1.5}, -32600),
        ({"id": True}, -32600),
        ({"id": [1]}, -32600),
        ({"params": [1]}, -32602),
        ({"params": "x"}, -32602),
        ({"method": "tools/list", "params": [1]}, -32602),
        ({"method": 7}, -32600),
        ({"method": None}, -32600),
        ({"jsonrpc": "1.0"}, -32600),
    ],
)
def test_what_is_no_request_is_told_so(ada: Caller, changed: dict[str, Any], code: int) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo"}} | changed
    response = ada.http.post(ada.url, json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (400, code)


def test_answers_and_notices_of_clients_are_taken_and_go_nowhere(ada: Caller) -> None:
    for body in (
        {"id": 1, "result": {}},
        {"id": 1, "error": {"code": 1, "message": "x"}},
        {"method": "notifications/roots/list_changed"},
        {"method": "notifications/cancelled", "params": {"requestId": [1]}},
        {"method": "notifications/cancelled"},
    ):
        response = ada.http.post(ada.url, json={"jsonrpc": "2.0", **body})
        assert (response.status_code, response.content) == (202, b"")
    assert "roots" not in ada.said("heard")


def until(caller: Caller, enough: Any) -> list[dict[str, Any]]:
    for _ in range(500):
        seen: list[dict[str, Any]] = json.loads(caller.said("seen"))
        if enough(seen):
            return seen
    raise AssertionError("the server never saw it")


def notices(caller: Caller, method: str) -> list[dict[str, Any]]:
    return [one for one in json.loads(caller.said("heard")) if one.get("method") == method]


def until_noticed(caller: Caller, method: str, number: int) -> None:
    for _ in range(500):
        if any(one["params"]["requestId"] == number for one in notices(caller, method)):
            return
    raise AssertionError("the server was not told")
