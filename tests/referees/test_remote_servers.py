"""Servers nobody here wrote, over streamable HTTP behind the guard: server-everything, one on the TypeScript SDK with sessions, one
on fastmcp; driven by the SDKs' clients."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import LoggingMessageNotificationParams, TextContent

from bench.servers import free_port
from tests.conftest import House
from tests.referees import nodejs, python
from tests.referees.node_process import WHY_NOT, Process
from tests.referees.test_typescript_sdk import EACH, signed_in
from tests.referees.test_typescript_sdk import Client as TypeScriptClient
from tests.remote_house import in_front_of
from tests.stdio_house import Caller

node = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
BOTH = pytest.mark.parametrize("mode", ["auto", "legacy"])
EVERYTHING = nodejs.MODULES / "@modelcontextprotocol/server-everything/dist/index.js"


@pytest.fixture(scope="module")
def everything(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    port = free_port()
    environment = nodejs.environment(tmp_path_factory.mktemp("home")) | {"PORT": str(port)}
    command = [str(nodejs.program()), str(EVERYTHING), "streamableHttp"]
    with listening(command, port, environment), in_front_of(dsn, f"http://localhost:{port}/mcp") as house:
        yield house


@pytest.fixture(scope="module")
def stateful(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    process = Process(tmp_path_factory.mktemp("home"), "stateful.mjs")
    try:
        with in_front_of(dsn, f"http://127.0.0.1:{process.answer()['port']}/mcp") as house:
            yield house
    finally:
        process.end()


@pytest.fixture(scope="module")
def fastmcp(dsn: str) -> Iterator[House]:
    try:
        program = python.program()
    except python.NoPython as why:
        pytest.skip(str(why))
    port = free_port()
    command = [str(program), str(Path(__file__).parent / "python" / "server.py"), str(port)]
    with listening(command, port, python.environment()), in_front_of(dsn, f"http://127.0.0.1:{port}/mcp") as house:
        yield house


class listening:
    """A program, until it answers, and until the test is over."""

    def __init__(self, command: list[str], port: int, environment: dict[str, str]) -> None:
        self._port = port
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, env=environment, **quiet)  # type: ignore[call-overload]

    def __enter__(self) -> None:
        until = time.monotonic() + 40
        while time.monotonic() < until and self._process.poll() is None:
            try:
                httpx2.get(f"http://localhost:{self._port}/mcp", timeout=5)
                return
            except httpx2.TransportError:
                time.sleep(0.05)
        self.__exit__()
        raise AssertionError("it did not start")

    def __exit__(self, *fault: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


callers: dict[tuple[str, str], Caller] = {}


def caller(house: House, name: str = "ada") -> Caller:
    """Somebody with a key, made once for each house."""
    if (house.url, name) not in callers:
        callers[house.url, name] = Caller(house, f"{name}@example.com")
    return callers[house.url, name]


async def connected(stack: AsyncExitStack, who: Caller, mode: str, **options: Any) -> Client:
    http = await stack.enter_async_context(httpx2.AsyncClient(headers=who.headers, timeout=30))
    return await stack.enter_async_context(
        Client(streamable_http_client(who.url, http_client=http), mode=mode, **options)
    )


def words(result: object) -> str:
    (block, *_) = result.content  # type: ignore[attr-defined]
    assert isinstance(block, TextContent)
    return block.text


@node
@pytest.mark.anyio
@BOTH
async def test_the_python_client_uses_everything(everything: House, mode: str) -> None:
    async with AsyncExitStack() as stack:
        client = await connected(stack, caller(everything), mode)
        assert client.server_info is not None
        assert client.server_info.name == "mcp-servers/everything"
        assert {"echo", "get-sum"} <= {tool.name for tool in (await client.list_tools()).tools}
        assert words(await client.call_tool("echo", {"message": "hello"})) == "Echo: hello"
        assert "5" in words(await client.call_tool("get-sum", {"a": 2, "b": 3}))
        (resource, *_) = (await client.list_resources()).resources
        assert (await client.read_resource(resource.uri)).contents
        assert (await client.get_prompt("simple-prompt")).messages
        assert (await client.call_tool("get-sum", {"a": "x"})).is_error


@node
@pytest.mark.anyio
async def test_progress_of_everything(everything: House) -> None:
    heard: list[float] = []

    async def heard_of(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    async with AsyncExitStack() as stack:
        client = await connected(stack, caller(everything), "legacy")
        arguments = {"duration": 0.4, "steps": 4}
        await client.call_tool("trigger-long-running-operation", arguments, progress_callback=heard_of)
    assert heard == [1, 2, 3, 4]


@node
@EACH
def test_the_typescript_client_uses_everything(
    everything: House, tmp_path: Path, generation: str, mode: str | None
) -> None:
    """Signed in through the pages."""
    caller(everything)
    client = TypeScriptClient(everything, tmp_path, generation, mode)
    try:
        signed_in(client)
        assert {"echo", "get-sum"} <= set(client.ok("list"))
        assert client.call("echo", message="hello")["content"][0]["text"] == "Echo: hello"
    finally:
        client.node.end()


@node
@pytest.mark.anyio
@BOTH
async def test_sessions_are_apart_and_keep_what_they_know(stateful: House, mode: str) -> None:
    async with AsyncExitStack() as stack:
        ada, bob, again = [await connected(stack, caller(stateful, name), mode) for name in ("ada", "bob", "ada")]
        assert [words(await ada.call_tool("calls", {})) for _ in range(3)] == ["1", "2", "3"]
        assert words(await bob.call_tool("calls", {})) == "1"
        assert words(await again.call_tool("calls", {})) == "1"


INITIALIZE: dict[str, Any] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "raw", "version": "1"},
}


@node
def test_a_session_id_is_nothing_to_another(stateful: House) -> None:
    ada, bob = caller(stateful), caller(stateful, "bob")
    session = {"Mcp-Session-Id": ada.ask("initialize", **INITIALIZE).headers["mcp-session-id"]}
    asked: dict[str, Any] = {"name": "calls", "arguments": {}}
    assert ada.ask("tools/call", headers=session, **asked).status_code == 200
    for response in (
        bob.ask("tools/call", headers=session, **asked),
        bob.http.get(bob.url, headers=session),
        bob.http.delete(bob.url, headers=session),
    ):
        assert (response.status_code, response.json()["error"]["code"]) == (404, -32001)
    assert ada.http.delete(ada.url, headers=session).status_code == 200
    assert ada.ask("tools/call", headers=session, **asked).status_code == 404


@node
@pytest.mark.anyio
async def test_progress_and_log_come_while_it_goes_on(stateful: House) -> None:
    """Each at its time: twenty milliseconds lie between them."""
    heard: list[tuple[float, float]] = []
    logged: list[str] = []

    async def heard_of(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, time.perf_counter()))

    async def log(params: LoggingMessageNotificationParams) -> None:
        logged.append(str(params.data))

    async with AsyncExitStack() as stack:
        client = await connected(stack, caller(stateful), "legacy", logging_callback=log)
        result = await client.call_tool("steps", {"steps": 5}, progress_callback=heard_of)
    assert words(result) == "done"
    assert [progress for progress, _ in heard] == [1, 2, 3, 4, 5]
    assert heard[-1][1] - heard[0][1] > 0.05
    assert logged == [f"step {number}" for number in range(1, 6)]


@node
@pytest.mark.anyio
async def test_a_call_that_is_given_up_is_cancelled_there(stateful: House) -> None:
    """notifications/cancelled goes to the same session, so the server hears of it."""
    async with AsyncExitStack() as stack:
        client = await connected(stack, caller(stateful), "legacy")
        with anyio.move_on_after(0.5):
            await client.call_tool("wait", {})
        heard_of = [words(await client.call_tool("given_up", {})) for _ in range(20)]
    assert heard_of[-1] == "1"


@node
def test_what_the_server_announces_comes_by_get(stateful: House) -> None:
    ada = caller(stateful)
    session = {"Mcp-Session-Id": ada.ask("initialize", **INITIALIZE).headers["mcp-session-id"]}
    ada.http.post(ada.url, json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=session)
    with ada.http.stream("GET", ada.url, headers=session) as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        ada.ask("tools/call", headers=session, name="announce", arguments={})
        lines = stream.iter_lines()
        told = next(line for line in lines if line.startswith("data:") and "method" in line)
        assert json.loads(told[5:])["method"] == "notifications/tools/list_changed"


@node
@pytest.mark.anyio
async def test_a_stream_that_was_closed_is_taken_up_again(stateful: House) -> None:
    """The server closes it before the answer; the client comes back with Last-Event-ID (SEP-1699)."""
    async with AsyncExitStack() as stack:
        client = await connected(stack, caller(stateful), "legacy")
        with anyio.fail_after(20):
            assert words(await client.call_tool("later", {})) == "at last"


@pytest.mark.anyio
@BOTH
async def test_the_python_client_uses_fastmcp(fastmcp: House, mode: str) -> None:
    heard: list[float] = []

    async def heard_of(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    async with AsyncExitStack() as stack:
        client = await connected(stack, caller(fastmcp), mode)
        assert {tool.name for tool in (await client.list_tools()).tools} == {"add", "slow", "credentials"}
        assert (await client.call_tool("add", {"a": 2, "b": 3})).structured_content == {"result": 5}
        assert words(await client.call_tool("slow", {"steps": 3}, progress_callback=heard_of)) == "slowly"
        assert heard == [1, 2, 3]
        seen = words(await client.call_tool("credentials", {}))
        assert "authorization" not in seen
        assert "gh_key_" not in seen


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a Unix")
@node
def test_the_typescript_client_uses_fastmcp(fastmcp: House, tmp_path: Path) -> None:
    caller(fastmcp)
    client = TypeScriptClient(fastmcp, tmp_path, "2", "auto")
    try:
        signed_in(client)
        assert client.call("add", a=2, b=3)["structuredContent"] == {"result": 5}
    finally:
        client.node.end()
