"""A test-only MCP server with what the conformance suite expects, put behind our real guard in place of our own tools."""

from __future__ import annotations

from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.request_state import RequestStateSecurity
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import EmptyResult, SetLevelRequestParams, SubscribeRequestParams, UnsubscribeRequestParams

from app.gate.tool import Tool
from app.world import World
from tests.referees.conformance import examples, rounds, schemas

SERVED: set[str] = set()  # names of what there is and was really reached, behind the guard
OFFERED = {function.__name__ for function in (*examples.TOOLS, *examples.PROMPTS, *rounds.TOOLS, *rounds.PROMPTS)}


async def remember(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """So that a scenario which never came through to its tool is not counted."""
    params = ctx.params or {}
    name = str(params.get("name") or params.get("uri"))
    if name in OFFERED or name.startswith("test://"):
        SERVED.add(name)
    return await call_next(ctx)


async def accepted(ctx: ServerRequestContext[Any, Any], params: object) -> EmptyResult:
    """Levels and subscriptions of the handshake era: the suite asks no more than that they are accepted."""
    return EmptyResult()


def build(world: World, tools: dict[str, Tool], *, streams: bool) -> StreamableHTTPSessionManager:
    """With `streams`, sessions and event streams as a server elsewhere may have them; without, as ours is served."""
    server = MCPServer(
        "conformance-examples",
        version="1.0",
        tools=[schemas.schema_tool()],
        request_state_security=RequestStateSecurity(keys=list(world.secrets.request_state.keys)),
        subscriptions=None if streams else False,
        middleware=[remember],
    )
    examples.furnish(server)
    rounds.furnish(server)
    if streams:
        handlers = server._lowlevel_server  # MCPServer has no words of its own for these three
        handlers.add_request_handler("logging/setLevel", SetLevelRequestParams, accepted)
        handlers.add_request_handler("resources/subscribe", SubscribeRequestParams, accepted)
        handlers.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, accepted)
    server.streamable_http_app(
        stateless_http=not streams,
        json_response=not streams,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    return server.session_manager


def shipped(world: World, tools: dict[str, Tool]) -> StreamableHTTPSessionManager:
    """Transport as in `app/gate/server.py`."""
    return build(world, tools, streams=False)


def streaming(world: World, tools: dict[str, Tool]) -> StreamableHTTPSessionManager:
    """Sessions, event streams, requests of the server to its client."""
    return build(world, tools, streams=True)
