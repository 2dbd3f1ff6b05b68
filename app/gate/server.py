"""The MCP server behind the guard: the official SDK's, stateless, JSON answers, both wire eras (MCP 2026-07-28 and before)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.request_state import RequestStateSecurity
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS
from starlette.types import ASGIApp

from app import __version__
from app.gate.tool import Tool, adapted
from app.world import World

BODY_BYTES = 4 * 1024 * 1024
# The guard has looked at Host and Origin already, with the operator's lists.
UNGUARDED = TransportSecuritySettings(enable_dns_rebinding_protection=False)
Build = Callable[[World, dict[str, Tool]], StreamableHTTPSessionManager]
INSTRUCTIONS = "Tools of this Gatehouse. Call whoami to see in whose name, and with which scopes, you are calling."


def build(world: World, tools: dict[str, Tool]) -> StreamableHTTPSessionManager:
    """The session manager: `handle_request` is the ASGI app, `run()` its lifespan, once per process."""
    server = MCPServer(
        "gatehouse",
        title="Gatehouse",
        instructions=INSTRUCTIONS,
        version=__version__,
        request_state_security=RequestStateSecurity(keys=list(world.secrets.request_state.keys)),
        subscriptions=False,
        middleware=[counting(world), unknown_prompt],
    )
    for declared in tools.values():
        server.add_tool(adapted(declared, world), name=declared.name)
    server.streamable_http_app(
        stateless_http=True,
        json_response=True,
        max_request_body_size=BODY_BYTES,
        transport_security=UNGUARDED,
    )
    return server.session_manager


@asynccontextmanager
async def running(build: Build, world: World, tools: dict[str, Tool]) -> AsyncIterator[ASGIApp]:
    """The server of the built-in tools, as long as it runs."""
    manager = build(world, tools)
    async with manager.run():
        yield manager.handle_request


def counting(world: World) -> ServerMiddleware[Any]:
    """Counts the calls of tools that worked: no JSON-RPC error, and not the tool's own `isError` (MCP tools "Error
    Handling"). Here the answer is still a value; at the guard it is bytes, which would have to be searched for an error.
    A tool that nobody declared never works, so that made-up names fill no memory."""

    async def middleware(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        result = await call_next(ctx)
        worked = ctx.method == "tools/call" and isinstance(result, dict) and result.get("isError") is False
        if worked and ctx.request is not None and ctx.params is not None:
            principal = ctx.request.scope["state"]["principal"]
            world.tally.count(principal.subject, principal.client_id, ctx.params["name"], world.now())
        return result

    return middleware


async def unknown_prompt(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """The caller's fault (MCP server/prompts "Error Handling"); the SDK calls it an internal error, and logs a trace."""
    try:
        return await call_next(ctx)
    except ValueError as fault:
        if ctx.method == "prompts/get" and str(fault).startswith("Unknown prompt"):
            raise MCPError(INVALID_PARAMS, str(fault)) from None
        raise
