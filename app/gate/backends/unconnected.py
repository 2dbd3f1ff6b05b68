"""A server that acts at its callers' own accounts elsewhere, for a caller who has not connected one: how to, in the words of
their protocol era (MCP 2025-11-25 "URL Mode Elicitation", 2026-07-28 "Multi Round-Trip Requests")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.types import URL_ELICITATION_REQUIRED
from mcp.types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION, MODERN_PROTOCOL_VERSIONS
from pydantic_core import to_json
from starlette.types import Send

from app import __version__
from app.gate.backends.calls import Call
from app.gate.backends.faults import BACKEND_FAULT, Header
from app.gate.backends.passing import SESSION
from app.tokens.secrets import new_id
from app.upstream.vault.fetch import NotConnected
from app.web.http import request_id

# What many servers tell anybody; they are asked first, without a token.
INTRODUCTIONS = frozenset(
    {
        "initialize",
        "notifications/initialized",
        "server/discover",
        "ping",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
    }
)
QUESTIONS = frozenset({"tools/call", "prompts/get", "resources/read"})  # may be answered with `input_required`
TOOL, ASKED = "connect_account", "connect"
META = "io.modelcontextprotocol/"


def opens_addresses(capabilities: object) -> bool:
    """Whether a client says that it can open an address for its user (`elicitation.url`)."""
    elicitation = capabilities.get("elicitation") if isinstance(capabilities, dict) else None
    return isinstance(elicitation, dict) and isinstance(elicitation.get("url"), dict)


async def tell(call: Call, fault: NotConnected, title: str, begun: bytes, send: Send, *, opens: bool) -> None:
    """The answer to whatever the caller sent. `begun` is the id of a session that the client will be told to begin anew,
    `title` the server's, `opens` what the client can do."""
    body, status = b"", {"GET": 405, "DELETE": 204}.get(call.method, 202)
    headers: list[Header] = [(b"allow", b"POST")] if status == 405 else []
    if call.is_request:
        status, body = 200, to_json(_answer(call, fault, title, opens=opens))
        headers.append((b"content-type", b"application/json"))
    if call.rpc_method == "initialize":
        headers.append((SESSION, begun))
    if status != 204:
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _answer(call: Call, fault: NotConnected, title: str, *, opens: bool) -> dict[str, Any]:
    words, modern = str(fault), _is_modern(call.params)
    match call.rpc_method:
        case "initialize":
            said = _initialized(call.params, title, words)
        case "server/discover":
            said = {"supportedVersions": list(MODERN_PROTOCOL_VERSIONS), **_introduced(title, words)}
        case "ping":
            said = {}
        case "tools/list":
            said = {"tools": [_tool(fault)]}
        case _:
            return _told(call, fault, opens=opens, modern=modern)
    if modern:
        said |= {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
    return {"jsonrpc": "2.0", "id": call.identifier, "result": said}


def _told(call: Call, fault: NotConnected, *, opens: bool, modern: bool) -> dict[str, Any]:
    """A question with the address, where this client says that it opens addresses; else an error with it, for the model to
    pass on: of the tool, if it is one that was called."""
    reply: dict[str, Any] = {"jsonrpc": "2.0", "id": call.identifier}
    params: dict[str, Any] = {"mode": "url", "message": fault.question, "url": fault.url}
    if modern:
        meta = call.params["_meta"]
        # Asked once already: the browser may still be under way, and to ask on and on would be a loop without a person.
        is_new = not isinstance(responses := call.params.get("inputResponses"), dict) or ASKED not in responses
        if is_new and call.rpc_method in QUESTIONS and opens_addresses(meta.get(META + "clientCapabilities")):
            asked = {ASKED: {"method": "elicitation/create", "params": params}}
            return {**reply, "result": {"resultType": "input_required", "inputRequests": asked}}
    elif opens:
        elicited: dict[str, Any] = {"elicitations": [params | {"elicitationId": new_id("elc")}]}
        return {**reply, "error": {"code": URL_ELICITATION_REQUIRED, "message": str(fault), "data": elicited}}
    if call.rpc_method == "tools/call":
        result = {"content": [{"type": "text", "text": str(fault)}], "isError": True}
        return {**reply, "result": result | ({"resultType": "complete"} if modern else {})}
    data = {"error": "upstream_not_connected", "url": fault.url, "request_id": request_id.get()}
    return {**reply, "error": {"code": BACKEND_FAULT, "message": str(fault), "data": data}}


def _is_modern(params: Mapping[str, Any]) -> bool:
    meta = params.get("_meta")
    return isinstance(meta, dict) and meta.get(META + "protocolVersion") in MODERN_PROTOCOL_VERSIONS


def _initialized(params: Mapping[str, Any], title: str, words: str) -> dict[str, Any]:
    asked = params.get("protocolVersion")
    version = asked if asked in HANDSHAKE_PROTOCOL_VERSIONS else LATEST_HANDSHAKE_VERSION
    return {"protocolVersion": version, **_introduced(title, words)}


def _introduced(title: str, words: str) -> dict[str, Any]:
    about = {"name": "gatehouse", "title": title, "version": __version__}
    return {"capabilities": {"tools": {}}, "serverInfo": about, "instructions": words}


def _tool(fault: NotConnected) -> dict[str, Any]:
    """In place of the server's own, which nobody knows before."""
    return {
        "name": TOOL,
        "title": f"Connect {fault.title}",
        "description": f"{fault} Until then the tools of this server are not listed.",
        "inputSchema": {"type": "object", "properties": {}},
    }
