"""What the guard answers instead of the tools: JSON-RPC errors with the caller's id, and plain ones (JSON-RPC 2.0 §5.1, RFC 6585 §4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.shared.inbound import decode_header_value
from starlette.responses import JSONResponse, Response

from app.gate.headers import Sorted
from app.gate.rules import INVALID_PARAMS, Ruled, Unreadable
from app.protocol.challenge import challenge, needed_scope
from app.protocol.errors import OAuthError, TooManyRequests
from app.protocol.types import Principal
from app.settings.loopback import renamed
from app.web.http import Json, request_id, traced

TOO_OFTEN = -32008  # MCP keeps -32020 to -32099 for itself
HEADER_MISMATCH = -32020  # MCP 2026-07-28 "Standard request headers"
NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


class TurnedBack(Exception):
    """An answer in place of the backend's; `why` is for the trace, if it is worth one."""

    def __init__(self, response: Response, why: str = "") -> None:
        super().__init__(why)
        self.response = response
        self.why = why


def turned_away(error: str, description: str, status: int) -> Response:
    body = {"error": error, "error_description": description, "request_id": request_id.get()}
    return JSONResponse(body, status)


def unreadable(fault: Unreadable) -> Response:
    return error(fault.identifier, fault.code, str(fault), 400)


def unknown_tool(ruled: Ruled) -> Response:
    """A tool that nobody may call is one that is not there (MCP server/tools "Error Handling")."""
    return error(ruled.message.get("id"), INVALID_PARAMS, f"Unknown tool: {ruled.tool}", 200)


def too_often(ruled: Ruled, fault: TooManyRequests) -> Response:
    seconds = fault.retry_after
    said = f"{ruled.tool} was called too often; wait {seconds} seconds"
    response = error(ruled.message.get("id"), TOO_OFTEN, said, 429, retry_after=seconds)
    response.headers.update(fault.headers)
    return response


def agree(ruled: Ruled, headers: Sorted) -> None:
    """That the headers which mirror the body say what it says: whoever goes by them would call what was not ruled. Raises
    TurnedBack."""
    message, methods, names = ruled.message, headers.values(b"mcp-method"), headers.values(b"mcp-name")
    if not methods and not names:
        return
    method, params = message.get("method"), message.get("params")
    key = NAMED.get(method) if isinstance(method, str) else None
    name = params.get(key) if isinstance(params, dict) and key else None
    said = [decode_header_value(value.decode("latin-1")) for value in names]
    if methods in ([], [str(method).encode()]) and said in ([], [name]):
        return
    why = "Mcp-Method and Mcp-Name must say what the body says"
    raise TurnedBack(error(message.get("id"), HEADER_MISMATCH, why, 400), why)


def error(identifier: object, code: int, message: str, status: int, **data: Any) -> Response:
    error = {"code": code, "message": message, "data": {**data, "request_id": request_id.get()}}
    return JSONResponse({"jsonrpc": "2.0", "id": identifier, "error": error}, status)


def challenged(
    refusal: OAuthError,
    metadata: str,
    default: tuple[str, ...],
    principal: Principal | None,
    wanted: Mapping[bytes, list[bytes]],
) -> Response:
    """401 and 403 with the challenge (RFC 6750 §3, RFC 9728 §5.1), which names the resource's `metadata`, at the Host that was
    called where that is this computer too; other faults as they are."""
    response = Json(traced(refusal), refusal.status, {"Cache-Control": "no-store"})
    if refusal.status in (401, 403):
        held = principal.scope if principal else frozenset()
        credentials = b"".join(wanted.get(b"authorization", []))
        scope = needed_scope(refusal, held, default)
        called = renamed(metadata, b"".join(wanted[b"host"]).decode("latin-1").lower())
        response.headers["WWW-Authenticate"] = challenge(refusal, called, scope, credentials)
    response.headers.update(refusal.headers)
    return response
