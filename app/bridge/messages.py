"""JSON-RPC messages as they pass: read only as far as passing them on needs, and never written anew (JSON-RPC 2.0, MCP "Messages")."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
FIRST_MODERN = "2026-07-28"  # without handshake and sessions; versions are dates, and compare as such
# What may be asked twice without harm, when the first answer was lost.
REPEATABLE = frozenset(
    {
        "initialize",
        "server/discover",
        "ping",
        "tools/list",
        "prompts/list",
        "prompts/get",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "resources/subscribe",
        "resources/unsubscribe",
        "logging/setLevel",
        "completion/complete",
    }
)
PARSE_ERROR, INVALID_REQUEST, INTERNAL_ERROR, CONNECTION_CLOSED = -32700, -32600, -32603, -32000


@dataclass(slots=True)
class Message:
    """`raw` is what came, in one line; `sent` once it may have reached the server."""

    raw: bytes
    value: Mapping[str, Any]
    sent: bool = field(default=False)

    @property
    def method(self) -> str:
        method = self.value.get("method")
        return method if isinstance(method, str) else ""

    @property
    def is_request(self) -> bool:
        return bool(self.method) and self.value.get("id") is not None

    @property
    def key(self) -> str:
        """The id, as a key that tells 1 from "1"."""
        return key_of(self.value.get("id"))

    @property
    def params(self) -> Mapping[str, Any]:
        params = self.value.get("params")
        return params if isinstance(params, dict) else {}

    @property
    def version(self) -> str:
        """What it says of itself (2026-07-28 and later); empty for one of the handshake era."""
        meta = self.params.get("_meta")
        version = meta.get(VERSION_KEY) if isinstance(meta, dict) else None
        return version if isinstance(version, str) and version.isascii() and version.isprintable() else ""

    @property
    def is_modern(self) -> bool:
        return self.version >= FIRST_MODERN and self.method != "initialize"

    def is_answered_by(self, other: Message) -> bool:
        return not other.method and other.key == self.key


def key_of(value: object) -> str:
    return json.dumps(value)


def read(raw: bytes | str) -> list[Message]:
    """The message, or the messages of a batch (MCP 2025-03-26), of one JSON text. Raises ValueError."""
    text = raw.encode() if isinstance(raw, str) else raw
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return [Message(json.dumps(item).encode(), item) for item in value]
    if not isinstance(value, dict):
        raise ValueError("no message")
    # Between its values JSON knows no difference between a line's end and a blank, and within them neither may stand.
    return [Message(text.replace(b"\r", b" ").replace(b"\n", b" ").strip(), value)]


def error(key: object, code: int, sentence: str) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": key, "error": {"code": code, "message": sentence}}).encode()
