"""Arguments of tools that are mirrored in headers, where a tool wants that (MCP 2026-07-28 "Custom Headers from Tool Parameters")."""

from __future__ import annotations

from typing import Any

from mcp.shared.inbound import validate_mcp_param_headers
from starlette.types import Scope

from app.gate.backends.stdio.call import Json
from app.gate.backends.stdio.faults import Fault

MARK = b'"x-mcp-header"'
TOOLS = 1000


class Headed:
    """The tools of one server with such arguments, as its lists that went by have shown them."""

    def __init__(self) -> None:
        self._schemas: dict[str, Any] = {}

    def learn(self, message: Any) -> None:
        """From an answer that has MARK in it."""
        result = message.get("result") if isinstance(message, dict) else None
        tools = result.get("tools") if isinstance(result, dict) else None
        for tool in tools if isinstance(tools, list) else ():
            if isinstance(tool, dict) and isinstance(tool.get("name"), str) and len(self._schemas) < TOOLS:
                self._schemas[tool["name"]] = tool.get("inputSchema")

    def check(self, scope: Scope, message: Json) -> None:
        """That the headers say what the arguments say. Raises Fault."""
        if not self._schemas or message["method"] != "tools/call":
            return
        params = message["params"]
        schema, arguments = self._schemas.get(params.get("name")), params.get("arguments") or {}
        if schema is None or not isinstance(arguments, dict):
            return
        headers = _Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        wrong = validate_mcp_param_headers(schema, arguments, headers)
        if wrong is not None:
            raise Fault(wrong.code, wrong.message, 400)


class _Headers(dict[str, str]):
    """With two of a name told apart by case, as the check wants them."""

    def __init__(self, pairs: Any) -> None:
        super().__init__()
        for name, value in pairs:
            self[name.upper() if name in self else name] = value
