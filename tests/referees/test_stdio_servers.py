"""The MCP project's own stdio servers behind the guard, driven by its SDKs in Python and TypeScript, in both eras."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import anyio
import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.types import ListToolsResult, TextContent

from tests.conftest import House
from tests.referees import nodejs
from tests.referees.node_process import WHY_NOT
from tests.referees.test_typescript_sdk import EACH, signed_in
from tests.referees.test_typescript_sdk import Client as TypeScriptClient
from tests.stdio_house import Caller, speaking

pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)

BOTH = pytest.mark.parametrize("mode", ["auto", "legacy"])
SERVERS = nodejs.MODULES / "@modelcontextprotocol"


@pytest.fixture(scope="module")
def everything(dsn: str) -> Iterator[House]:
    command = (str(nodejs.program()), str(SERVERS / "server-everything/dist/index.js"), "stdio")
    with speaking(dsn, command, timeout=20) as house:
        yield house


@pytest.fixture(scope="module")
def key(everything: House) -> Caller:
    return Caller(everything)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "hello.txt").write_text("hello from a file")
    (tmp_path / "secret.txt").write_text("not for you")
    return tmp_path / "files"


async def connected(stack: AsyncExitStack, caller: Caller, mode: str, **options: object) -> Client:
    http = await stack.enter_async_context(httpx2.AsyncClient(headers=caller.headers, timeout=30))
    client: AbstractAsyncContextManager[Client] = Client(
        streamable_http_client(caller.url, http_client=http),
        mode=mode,
        **options,  # type: ignore[arg-type]
    )
    return await stack.enter_async_context(client)


def words(result: object) -> str:
    (block, *_) = result.content  # type: ignore[attr-defined]
    assert isinstance(block, TextContent)
    return block.text


@pytest.mark.anyio
@BOTH
async def test_the_python_client_uses_everything(key: Caller, mode: str) -> None:
    """Tools, resources, prompts, completion; an error of the server's own."""
    async with AsyncExitStack() as stack:
        client = await connected(stack, key, mode)
        assert client.server_info is not None
        assert client.server_info.name == "mcp-servers/everything"
        listed: ListToolsResult = await client.list_tools()
        assert {"echo", "get-sum", "trigger-long-running-operation"} <= {tool.name for tool in listed.tools}
        assert words(await client.call_tool("echo", {"message": "hello"})) == "Echo: hello"
        assert "5" in words(await client.call_tool("get-sum", {"a": 2, "b": 3}))
        (resource, *_) = (await client.list_resources()).resources
        assert (await client.read_resource(resource.uri)).contents
        assert {prompt.name for prompt in (await client.list_prompts()).prompts} >= {"simple-prompt"}
        assert (await client.get_prompt("simple-prompt")).messages
        wrong = await client.call_tool("get-sum", {"a": "x"})
        assert wrong.is_error
        with pytest.raises(MCPError):
            await client.get_prompt("no-such-prompt")


@pytest.mark.anyio
@BOTH
async def test_progress_comes_while_it_goes_on(key: Caller, mode: str) -> None:
    """Two at once, with tokens that the client counts alike for both."""
    heard: dict[int, list[float]] = {1: [], 2: []}
    async with AsyncExitStack() as stack:
        clients = {number: await connected(stack, key, mode) for number in heard}

        async def run(number: int) -> None:
            async def heard_of(progress: float, total: float | None, message: str | None) -> None:
                heard[number].append(progress)

            arguments = {"duration": 0.4, "steps": 2 + number}
            await clients[number].call_tool("trigger-long-running-operation", arguments, progress_callback=heard_of)

        async with anyio.create_task_group() as tasks:
            for number in heard:
                tasks.start_soon(run, number)
    assert heard == {1: [1, 2, 3], 2: [1, 2, 3, 4]}


@pytest.mark.anyio
@BOTH
async def test_a_call_that_is_given_up_harms_nobody(key: Caller, mode: str) -> None:
    async with AsyncExitStack() as stack:
        client, other = await connected(stack, key, mode), await connected(stack, key, mode)
        with anyio.move_on_after(0.5) as given_up:
            await client.call_tool("trigger-long-running-operation", {"duration": 60, "steps": 3})
        assert given_up.cancelled_caught
        assert words(await client.call_tool("echo", {"message": "still here"})) == "Echo: still here"
        assert words(await other.call_tool("echo", {"message": "me too"})) == "Echo: me too"


@pytest.mark.anyio
@BOTH
async def test_the_python_client_uses_files(dsn: str, folder: Path, mode: str) -> None:
    """server-filesystem, which looks for roots that a client of several cannot give, and keeps to its folder."""
    command = (str(nodejs.program()), str(SERVERS / "server-filesystem/dist/index.js"), str(folder))
    with speaking(dsn, command, timeout=20, per_user=True) as house:
        async with AsyncExitStack() as stack:
            client = await connected(stack, Caller(house), mode)
            assert (
                words(await client.call_tool("read_text_file", {"path": str(folder / "hello.txt")}))
                == "hello from a file"
            )
            await client.call_tool("write_file", {"path": str(folder / "new.txt"), "content": "written"})
            assert (folder / "new.txt").read_text() == "written"
            outside = await client.call_tool("read_text_file", {"path": str(folder.parent / "secret.txt")})
            assert outside.is_error
            assert "not for you" not in words(outside)


@EACH
def test_the_typescript_client_uses_everything(
    everything: House, key: Caller, tmp_path: Path, generation: str, mode: str | None
) -> None:
    """Signed in through the pages."""
    client = TypeScriptClient(everything, tmp_path, generation, mode)
    try:
        signed_in(client)
        assert {"echo", "get-sum"} <= set(client.ok("list"))
        assert client.call("echo", message="hello")["content"][0]["text"] == "Echo: hello"
    finally:
        client.node.end()
