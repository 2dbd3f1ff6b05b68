"""The headers that repeat what is in a message, so that proxies can read it (MCP 2026-07-28 "Standard Request Headers")."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any

from app.bridge.messages import Message

NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
ENCODED = re.compile(r"=\?base64\?.*\?=")
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
Paths = Mapping[tuple[str, ...], str]


class Mirror:
    """Remembers from each `tools/list` which arguments a tool wants repeated (`x-mcp-header`)."""

    def __init__(self) -> None:
        self._tools: dict[str, Paths] = {}

    def headers(self, message: Message) -> dict[str, str]:
        """None for the handshake era, which has no such headers."""
        if not message.is_modern:
            return {}
        headers = {"Mcp-Method": encoded(message.method)}
        name = message.params.get(NAMED_BY.get(message.method, ""))
        if isinstance(name, str):
            headers["Mcp-Name"] = encoded(name)
            if message.method == "tools/call":
                for path, token in self._tools.get(name, {}).items():
                    value = _at(message.params.get("arguments"), path)
                    if value is not None:
                        headers[f"Mcp-Param-{token}"] = encoded(value)
        return headers

    def saw(self, asked: Message, answer: Message) -> None:
        """An answer that passed by."""
        result = answer.value.get("result")
        tools = result.get("tools") if asked.method == "tools/list" and isinstance(result, dict) else None
        for tool in tools if isinstance(tools, list) else ():
            if isinstance(tool, dict) and isinstance(tool.get("name"), str):
                self._tools[tool["name"]] = dict(_annotated(tool.get("inputSchema"), ()))


def encoded(value: str) -> str:
    """As it is, where a header can carry it; else in base64, marked so."""
    plain = all(" " <= letter <= "~" for letter in value) and value == value.strip()
    if plain and not ENCODED.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode('utf-8', 'replace')).decode()}?="


def _annotated(schema: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Only what is reached by properties of properties may be annotated."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    for name, inner in properties.items() if isinstance(properties, dict) and len(path) < 20 else ():
        if isinstance(inner, dict):
            token = inner.get("x-mcp-header")
            if isinstance(token, str) and TOKEN.fullmatch(token):
                yield (*path, name), token
            yield from _annotated(inner, (*path, name))


def _at(node: Any, path: tuple[str, ...]) -> str | None:
    for name in path:
        node = node.get(name) if isinstance(node, dict) else None
    if isinstance(node, bool):
        return "true" if node else "false"
    return str(node) if isinstance(node, (str, int, float)) else None
