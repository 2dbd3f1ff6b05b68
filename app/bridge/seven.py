"""The seed's seven tools, liveauth_mcp_*, on standard input and output, and behind them every tool of the Gatehouse itself."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.types import CallToolRequestParams, CallToolResult, ListToolsResult, TextContent, Tool

from app import __version__
from app.bridge.agent import Agent
from app.bridge.faults import Fault

TEXT, NUMBER = {"type": "string"}, {"type": "number"}
QUOTE = {"quoteId": {**TEXT, "description": "The quoteId from the start response"}}
SOLUTION = {"challengeHex": TEXT, "nonce": NUMBER, "hashHex": TEXT, "expiresAtUnix": NUMBER, "difficultyBits": NUMBER}
Given = Mapping[str, Any]
Do = Callable[[Agent, Given], Awaitable[Given]]


def _tool(name: str, description: str, properties: Given, required: list[str] | None = None) -> Tool:
    schema = {"type": "object", "properties": dict(properties), "required": required or []}
    return Tool(name=f"liveauth_mcp_{name}", description=description, input_schema=schema)


SEVEN: dict[str, tuple[Tool, Do]] = {
    tool.name: (tool, do)
    for tool, do in (
        (
            _tool(
                "start",
                "Start a new session: a proof-of-work challenge, or a Lightning invoice with forceLightning=true.",
                {"forceLightning": {"type": "boolean"}},
            ),
            lambda agent, given: agent.start(pays=bool(given.get("forceLightning"))),
        ),
        (
            _tool(
                "confirm",
                "Get the token of a started session. With the quoteId alone the work is done, or the invoice paid, for you.",
                {**QUOTE, **SOLUTION, "signature": TEXT},
                ["quoteId"],
            ),
            lambda agent, given: agent.confirm(str(given["quoteId"]), given),
        ),
        (
            _tool("status", "Whether a session is confirmed, and its invoice paid.", QUOTE, ["quoteId"]),
            lambda agent, given: agent.look("status", str(given["quoteId"])),
        ),
        (
            _tool("lnurl", "The Lightning invoice of a session, for any wallet.", QUOTE, ["quoteId"]),
            lambda agent, given: agent.look("lnurl", str(given["quoteId"])),
        ),
        (
            _tool("charge", "Meter a call of an API: its cost in sats.", {"callCostSats": NUMBER}, ["callCostSats"]),
            lambda agent, given: agent.charge(given),
        ),
        (_tool("usage", "What is used and left, with nothing charged.", {}), lambda agent, given: agent.usage()),
        (
            _tool("refresh", "The next token, without working or paying again.", {"refreshToken": TEXT}),
            lambda agent, given: agent.refresh(str(given.get("refreshToken") or "")),
        ),
    )
}


async def serve(agent: Agent) -> None:
    """Until standard input ends."""

    async def listed(ctx: Any, params: Any) -> ListToolsResult:
        ours = [tool for tool, _ in SEVEN.values()]
        try:
            theirs = ListToolsResult.model_validate(await agent.mcp("tools/list", {})).tools
        except (Fault, ValueError):
            theirs = []  # no session yet: a call will say why
        return ListToolsResult(tools=[*ours, *(tool for tool in theirs if tool.name not in SEVEN)])

    async def called(ctx: Any, params: CallToolRequestParams) -> CallToolResult:
        given = params.arguments or {}
        try:
            if params.name not in SEVEN:
                result = await agent.mcp("tools/call", {"name": params.name, "arguments": given})
                return CallToolResult.model_validate(result)
            tool, do = SEVEN[params.name]
            missing = [name for name in tool.input_schema["required"] if name not in given]
            if missing:
                raise Fault(f"{missing[0]} is missing")
            return _text(dict(await do(agent, given)))
        except Fault as fault:
            return _text({"error": str(fault)}, failed=True)

    server: Server[Any] = Server("gatehouse-agent", version=__version__, on_list_tools=listed, on_call_tool=called)
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


def _text(value: dict[str, Any], *, failed: bool = False) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=json.dumps(value, indent=2))], is_error=failed)
