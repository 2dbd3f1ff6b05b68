"""`gatehouse connect` with a server that nobody here wrote: the SDK's, with sessions and streams, in both eras, through a bad network."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.actors import Browser, http
from tests.bridges import Bridge, Cable, environment
from tests.conftest import ROOT
from tests.elsewhere import Elsewhere, Events, Issuer

Start = Callable[..., Bridge]


@pytest.fixture
def place() -> Iterator[tuple[Cable, Elsewhere]]:
    cable = Cable()
    server = Elsewhere(cable.url)
    cable.plug(server.port)
    yield cable, server
    cable.cut()
    server.stop()


@pytest.fixture
def start(place: tuple[Cable, Elsewhere], tmp_path: Path) -> Iterator[Start]:
    """A bridge, signed in, hands shaken."""
    started: list[Bridge] = []

    def begin(*more: str, **capabilities: Any) -> Bridge:
        bridge = Bridge(f"{place[0].url}/mcp", tmp_path, *more)
        started.append(bridge)
        number = bridge.begin(**capabilities)
        if not list(tmp_path.rglob("*.json")):
            bridge.sign_in(Browser(place[0].url))
        answer = bridge.answer(number)
        assert "result" in answer, answer
        bridge.notify("notifications/initialized")
        return bridge

    yield begin
    for bridge in started:
        bridge.end()


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_official_client_over_stdio(place: tuple[Cable, Elsewhere], tmp_path: Path, mode: str) -> None:
    """Its errors go to a pipe, where a person finds the address to open."""
    cable, server = place
    reading, writing = os.pipe()

    def person() -> None:
        with os.fdopen(reading) as words:
            for line in words:
                if "to sign in to" in line:
                    answer = Browser(cable.url).open(line.split(" open ")[1].strip())
                    http().get(answer.left_to or "")

    threading.Thread(target=person, daemon=True).start()
    command = ["-m", "app", "connect", f"{cable.url}/mcp", "--no-browser"]
    parameters = StdioServerParameters(command=sys.executable, args=command, env=environment(tmp_path), cwd=ROOT)
    with os.fdopen(writing, "w") as errlog:
        async with Client(stdio_client(parameters, errlog=errlog), mode=mode) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} >= {"echo", "count"}
            steps: list[float] = []

            async def progress(progress: float, total: float | None, message: str | None) -> None:
                steps.append(progress)

            counted = await client.call_tool("count", {"to": 3}, progress_callback=progress)
            assert counted.structured_content == {"result": "counted"}
            assert steps == [1, 2, 3]
    assert server.issuer.grants == {"code": 1}
    posts = [headers for method, headers in server.seen if method == "POST" and "authorization" in headers]
    if mode == "legacy":
        assert all("mcp-session-id" in headers for headers in posts[1:])
        assert {headers["mcp-protocol-version"] for headers in posts[1:]} == {"2025-11-25"}
        assert server.seen[-1][0] == "DELETE"
    else:
        assert {headers["mcp-protocol-version"] for headers in posts} == {"2026-07-28"}
        assert [headers.get("mcp-name") for headers in posts if headers["mcp-method"] == "tools/call"] == ["count"]


def test_the_server_asks_back(start: Start) -> None:
    """A request of the server's on the stream of the call, and the answer to it."""
    bridge = start(elicitation={"form": {}})
    number = bridge.ask("tools/call", {"name": "ask", "arguments": {}})
    question = bridge.until(lambda message: message.get("method") == "elicitation/create")
    answer = {"action": "accept", "content": {"colour": "blue"}}
    bridge.send({"jsonrpc": "2.0", "id": question["id"], "result": answer})
    assert bridge.answer(number)["result"]["structuredContent"]["result"] == "blue"


def test_notices_come_on_the_other_stream(start: Start, place: tuple[Cable, Elsewhere]) -> None:
    bridge = start()
    while "GET" not in [method for method, _ in place[1].seen]:
        bridge.answer(bridge.ask("ping"))
    bridge.call("grow")
    if not any(message["method"] == "notifications/tools/list_changed" for message in bridge.other):
        bridge.until(lambda message: message.get("method") == "notifications/tools/list_changed")


@pytest.mark.parametrize("modern", [False, True])
def test_cancelling_reaches_the_server(start: Start, place: tuple[Cable, Elsewhere], modern: bool) -> None:
    """In the older era by the notice, in the newer one by the end of the connection; others go on."""
    bridge = start()
    params: dict[str, Any] = {"name": "wait", "arguments": {}}
    if modern:
        number = bridge.ask("tools/call", params, modern=True)
        while not any(headers.get("mcp-name") == "wait" for _, headers in place[1].seen):
            bridge.answer(bridge.ask("ping"))
    else:
        number = bridge.ask("tools/call", params | {"_meta": {"progressToken": 1}})
        bridge.until(lambda message: message.get("method") == "notifications/progress")
    bridge.notify("notifications/cancelled", requestId=number)
    assert place[1].cancelled.wait(10)
    assert bridge.call("echo", text="still here")["structuredContent"]["result"] == "still here"
    assert not [message for message in bridge.other if message.get("id") == number and "result" in message]


def test_what_is_cancelled_before_it_begins_leaves_nothing_behind(start: Start) -> None:
    """Both lines come in one read; the id is free afterwards, and nothing is said about it."""
    bridge = start()
    ping = {"jsonrpc": "2.0", "id": "mine", "method": "ping"}
    cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "mine"}}
    bridge.send(json.dumps(ping).encode() + b"\n" + json.dumps(cancelled).encode())
    assert bridge.answer(bridge.ask("ping"))["result"] == {}
    bridge.send(ping)
    assert bridge.until(lambda message: message.get("id") == "mine")["result"] == {}
    assert bridge.end() == 0
    assert "never awaited" not in bridge.words()


def test_many_calls_side_by_side(start: Start) -> None:
    bridge = start()
    numbers = {
        bridge.ask("tools/call", {"name": "echo", "arguments": {"text": "x" * n}}): n for n in range(0, 50_000, 1000)
    }
    for _ in range(len(numbers)):
        message = bridge.until(lambda message: "result" in message)
        assert len(message["result"]["structuredContent"]["result"]) == numbers.pop(message["id"])
    assert not numbers


def test_a_restarted_server_is_found_again(start: Start, place: tuple[Cable, Elsewhere]) -> None:
    """It has forgotten the session: the bridge shakes hands again, and the host notices nothing."""
    cable, server = place
    bridge = start()
    assert bridge.call("echo", text="before")["structuredContent"]["result"] == "before"
    cable.cut()
    number = bridge.ask("tools/call", {"name": "echo", "arguments": {"text": "meanwhile"}})
    other = Elsewhere(cable.url, server.issuer)
    try:
        cable.plug(other.port)
        assert bridge.answer(number)["result"]["structuredContent"]["result"] == "meanwhile"
        assert bridge.call("echo", text="after")["structuredContent"]["result"] == "after"
        assert server.issuer.grants == {"code": 1}
        bridge.end()
    finally:
        cable.cut()
        other.stop()


def test_a_call_that_may_have_run_is_not_made_twice(start: Start, place: tuple[Cable, Elsewhere]) -> None:
    cable, server = place
    bridge = start()
    number = bridge.ask("tools/call", {"name": "wait", "arguments": {}, "_meta": {"progressToken": 1}})
    bridge.until(lambda message: message.get("method") == "notifications/progress")
    cable.cut()
    assert "not known whether" in bridge.answer(number)["error"]["message"]
    cable.plug(server.port)
    assert bridge.call("echo", text="again")["structuredContent"]["result"] == "again"


def test_a_broken_stream_is_taken_up_where_it_broke(tmp_path: Path) -> None:
    """With a server that keeps events (MCP 2025-11-25 "Resumability")."""
    cable = Cable()
    server = Elsewhere(cable.url, Issuer(), Events())
    cable.plug(server.port)
    bridge = Bridge(f"{cable.url}/mcp", tmp_path)
    try:
        number = bridge.begin()
        bridge.sign_in(Browser(cable.url))
        bridge.answer(number)
        bridge.notify("notifications/initialized")
        number = bridge.ask("tools/call", {"name": "wait", "arguments": {}, "_meta": {"progressToken": 1}})
        bridge.until(lambda message: message.get("method") == "notifications/progress")
        cable.cut()
        cable.plug(server.port)
        server.gate.set()
        assert bridge.answer(number)["result"]["structuredContent"]["result"] == "waited"
        assert any("last-event-id" in headers for method, headers in server.seen if method == "GET")
    finally:
        bridge.end()
        cable.cut()
        server.stop()


def test_a_server_that_was_never_there(tmp_path: Path) -> None:
    cable = Cable()
    cable.cut()
    bridge = Bridge(f"{cable.url}/mcp", tmp_path, "--timeout", "1")
    try:
        answer = bridge.answer(bridge.begin())
        assert answer["error"]["message"] == f"localhost:{cable.port} cannot be reached"
        assert bridge.hears("gatehouse:") == f"gatehouse: localhost:{cable.port} cannot be reached\n"
    finally:
        assert bridge.end() == 0


def test_nobody_is_left_without_an_answer_when_standard_input_ends(tmp_path: Path) -> None:
    """As when a person pipes one line into it, by hand."""
    cable = Cable()
    cable.cut()
    bridge = Bridge(f"{cable.url}/mcp", tmp_path, "--timeout", "30")
    number = bridge.begin()
    assert bridge.end() == 0
    assert "standard input ended" in bridge.answer(number)["error"]["message"]
