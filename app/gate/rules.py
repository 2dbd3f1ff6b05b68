"""What a call needs: the parsed JSON-RPC message decides, and exactly that is passed on (MCP authorization "Scope Challenge")."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic_core import from_json, to_json

BASELINE = frozenset({"read"})


class Unreadable(Exception):
    """The body is no single JSON-RPC message; `code` is JSON-RPC's."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def needs_of(tools: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """All that a call of each tool needs; `tools` maps its name to its scope."""
    return {name: BASELINE | {scope} for name, scope in tools.items()}


def ruled(body: bytes, needs: Mapping[str, frozenset[str]]) -> tuple[frozenset[str], bytes]:
    """The scopes that the one message of the body needs, all at once, and the message as the tools will read it: without a
    second key of the same name or another spelling of the method. Raises Unreadable for what two parsers may read in two ways."""
    try:
        message = from_json(body, allow_inf_nan=False)
    except ValueError as fault:
        raise Unreadable(-32700, "the body is not valid JSON") from fault
    if isinstance(message, list):
        raise Unreadable(-32600, "batches are not supported")
    if not isinstance(message, dict):
        raise Unreadable(-32600, "the body is not a JSON-RPC message")
    needed = BASELINE
    if message.get("method") == "tools/call":
        params = message.get("params")
        name = params.get("name") if isinstance(params, dict) else None
        if isinstance(name, str):
            needed = needs.get(name, BASELINE)
    return needed, to_json(message)
