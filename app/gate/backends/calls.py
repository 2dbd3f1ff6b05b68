"""One request as the guard hands it over: method, headers, the one message, whose it is (MCP Streamable HTTP)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic_core import from_json
from starlette.types import Receive, Scope

from app.gate.backends.faults import Header
from app.protocol.types import Principal

# Asked twice they do what they do once (RFC 9110 §9.2.2); tools/call is not among them.
REPEATABLE = frozenset(
    {
        "ping",
        "initialize",
        "server/discover",
        "tools/list",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "prompts/list",
        "prompts/get",
        "completion/complete",
        "logging/setLevel",
        "notifications/initialized",
        "notifications/cancelled",
    }
)
LASTING = "subscriptions/listen"  # MCP 2026-07-28


class Call(NamedTuple):
    """`identifier` is the JSON-RPC id of a request, None of everything else; `rpc_method` is empty for answers of the client."""

    method: str
    headers: list[Header]
    body: bytes
    principal: Principal
    receive: Receive
    identifier: Any
    rpc_method: str
    params: Mapping[str, Any]

    @property
    def is_request(self) -> bool:
        """Somebody waits for the answer."""
        return self.identifier is not None

    @property
    def is_lasting(self) -> bool:
        return self.method == "GET" or self.rpc_method == LASTING

    @property
    def is_repeatable(self) -> bool:
        return self.method != "POST" or self.rpc_method in REPEATABLE


async def of(scope: Scope, receive: Receive) -> Call:
    """From the guard: its `message` where it left one, else what the body says."""
    state = scope["state"]
    body, message = b"", None
    if scope["method"] == "POST":
        body = await body_of(receive)
        message = state["message"] if "message" in state else from_json(body)
    identifier, method, params = None, "", None
    if isinstance(message, dict) and isinstance(named := message.get("method"), str):
        identifier, method, params = message.get("id"), named, message.get("params")
    given = params if isinstance(params, dict) else {}
    return Call(scope["method"], scope["headers"], body, state["principal"], receive, identifier, method, given)


async def body_of(receive: Receive) -> bytes:
    """One message of the guard's; of anybody else's, as many as there are."""
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)
