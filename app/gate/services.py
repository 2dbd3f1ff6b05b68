"""What a client is told when a tool needs an account elsewhere that its user has not connected, or that is away (MCP elicitation)."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.exceptions import MCPError, UrlElicitationRequiredError
from mcp.types import ElicitRequest, ElicitRequestURLParams, InputRequiredResult

from app.asking import request_id
from app.tokens.secrets import new_id
from app.upstream.faults import Away
from app.upstream.vault.fetch import NotConnected

CODE = -32000  # JSON-RPC: a server error
RETRY_AFTER = 5  # seconds
ASKED = "connect"  # the name of our question, in the newest era
MODERN = "2026-07-28"


def told(fault: NotConnected, ctx: Context[Any, Any]) -> InputRequiredResult:
    """What the protocol of this client has for it: a question with the address where the account is connected, if the client
    says that it can open addresses; else an error of the tool with the address in it, for the model to pass on.

    Raises ToolError or UrlElicitationRequiredError, where that is the answer.
    """
    if not _opens_addresses(ctx) or (ctx.input_responses and ASKED in ctx.input_responses):
        # Asked once already: the browser may still be under way, and to ask on and on would be a loop without a person.
        raise ToolError(str(fault))
    if ctx.protocol_version is not None and ctx.protocol_version >= MODERN:
        params = ElicitRequestURLParams(message=fault.question, url=fault.url)
        return InputRequiredResult(input_requests={ASKED: ElicitRequest(params=params)})
    asked = ElicitRequestURLParams(message=fault.question, url=fault.url, elicitation_id=new_id("elc"))
    raise UrlElicitationRequiredError([asked], str(fault))


def away(fault: Away, state: MutableMapping[str, Any]) -> MCPError:
    """503 for the caller: nothing is wrong with their token, and later it may work."""
    state["unavailable"] = RETRY_AFTER
    data = {"error": "upstream_unavailable", "retry_after": RETRY_AFTER, "request_id": request_id.get()}
    return MCPError(CODE, f"a service that this tool needs is not available: {fault.why}", data)


def _opens_addresses(ctx: Context[Any, Any]) -> bool:
    capabilities = ctx.client_capabilities
    return (
        capabilities is not None and capabilities.elicitation is not None and capabilities.elicitation.url is not None
    )
