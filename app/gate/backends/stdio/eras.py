"""Between the two eras of the wire: handshake (to 2025-11-25) and per-request metadata (2026-07-28), on either side (MCP versioning)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    LOG_LEVEL_META_KEY,
    PROTOCOL_VERSION_META_KEY,
    SERVER_INFO_META_KEY,
)
from mcp_types.methods import CACHEABLE_METHODS
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION, LATEST_MODERN_VERSION

from app import __version__
from app.asking import trace, traceparent
from app.gate.backends.stdio.faults import INVALID_PARAMS, NOT_FOUND_BEFORE_2026

Json = dict[str, Any]

US = {"name": "gatehouse", "version": __version__}
ENVELOPE = {
    PROTOCOL_VERSION_META_KEY: LATEST_MODERN_VERSION,
    CLIENT_INFO_META_KEY: US,
    CLIENT_CAPABILITIES_META_KEY: {},
}
OF_THE_ENVELOPE = frozenset({*ENVELOPE, LOG_LEVEL_META_KEY})
# Of what several callers would share, or what a process remembers of one connection: not offered (docs/stdio.md).
REFUSED = ("resources/subscribe", "resources/unsubscribe", "tasks/")
HANDSHAKE = frozenset(HANDSHAKE_PROTOCOL_VERSIONS)


@dataclass(frozen=True, slots=True)
class Learned:
    """What a server said of itself when it was started; `modern` when it has no handshake."""

    version: str
    capabilities: Json
    server_info: Json
    instructions: str | None
    modern: bool

    @classmethod
    def of(cls, result: Json, *, modern: bool) -> Learned:
        meta = _object(result.get("_meta"))
        info = _object(meta.get(SERVER_INFO_META_KEY) if modern else result.get("serverInfo"))
        instructions = result.get("instructions")
        return cls(
            LATEST_MODERN_VERSION if modern else str(result.get("protocolVersion")),
            _object(result.get("capabilities")),
            info if "name" in info and "version" in info else {"name": "unknown", "version": "0"},
            instructions if isinstance(instructions, str) else None,
            modern,
        )


def greeting() -> Json:
    """The params of our `initialize`: we can do nothing that a server might ask, since it is nobody's alone."""
    return {"protocolVersion": LATEST_HANDSHAKE_VERSION, "capabilities": {}, "clientInfo": US}


def offered(learned: Learned, *, per_user: bool, modern: bool) -> Json:
    """The capabilities that still hold for a caller who is not alone."""
    kept = {name: value for name, value in learned.capabilities.items() if name != "tasks"}
    if not per_user or modern or learned.modern:
        kept.pop("logging", None)
    resources = kept.get("resources")
    if isinstance(resources, dict):
        kept["resources"] = {name: value for name, value in resources.items() if name != "subscribe"}
    return kept


def initialized(learned: Learned, params: Any, *, per_user: bool) -> Json:
    """The answer to a client's `initialize`: its version, if it is one (MCP lifecycle "Version Negotiation")."""
    asked = _object(params).get("protocolVersion")
    result = {
        "protocolVersion": asked if asked in HANDSHAKE else LATEST_HANDSHAKE_VERSION,
        "capabilities": offered(learned, per_user=per_user, modern=False),
        "serverInfo": learned.server_info,
    }
    return result if learned.instructions is None else {**result, "instructions": learned.instructions}


def discovered(learned: Learned, *, per_user: bool) -> Json:
    """The answer to `server/discover` (MCP 2026-07-28, server/discover)."""
    result: Json = {
        "supportedVersions": [LATEST_MODERN_VERSION],
        "capabilities": offered(learned, per_user=per_user, modern=True),
    }
    if learned.instructions is not None:
        result["instructions"] = learned.instructions
    return to_client("server/discover", result, learned)


def to_server(message: Json, number: int, learned: Learned, *, modern: bool) -> tuple[Json, str | int | None]:
    """The caller's request as this server is to read it, under our id; and the caller's progress token."""
    sent: Json = {"jsonrpc": "2.0", "id": number, "method": message["method"]}
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    meta = meta if isinstance(meta, dict) else {}
    token = meta.get("progressToken")
    token = token if isinstance(token, str) or type(token) is int else None
    if modern and not learned.modern:
        meta = {name: value for name, value in meta.items() if name not in OF_THE_ENVELOPE}
    elif learned.modern and not modern:
        meta = {**meta, **ENVELOPE}
    if "progressToken" in meta:
        meta = {name: value for name, value in meta.items() if name != "progressToken"}
    if token is not None:
        meta = {**meta, "progressToken": number}
    part = trace.get()
    if part is not None and part.given and "traceparent" not in meta:
        meta = {**meta, "traceparent": traceparent().decode()}  # MCP 2026-07-28 "Trace context"
    if isinstance(params, dict) and not learned.modern:
        # A receiver without tasks takes the request as if it were none (MCP 2025-11-25, tasks).
        params = {name: value for name, value in params.items() if name not in ("_meta", "task")}
    elif isinstance(params, dict):
        params = {name: value for name, value in params.items() if name != "_meta"}
    if meta:
        params = {**(params or {}), "_meta": meta}
    if params is not None:
        sent["params"] = params
    return sent, token


def to_client(method: str, result: Json, learned: Learned) -> Json:
    """A result as a client of 2026-07-28 expects it: its type, how long it may be kept and by whom, whose it is."""
    result = {"resultType": "complete", **result}
    if method in CACHEABLE_METHODS and result["resultType"] == "complete":
        result = {"ttlMs": 0, "cacheScope": "private", **result}
        if result["cacheScope"] != "private":
            result["cacheScope"] = "private"  # the lists are filtered by what each caller may do
    result["_meta"] = {SERVER_INFO_META_KEY: learned.server_info, **_object(result.get("_meta"))}
    return result


def error_to_client(error: Json) -> Json:
    """2026-07-28 has another code for a resource that is not there (basic "Error Codes")."""
    return {**error, "code": INVALID_PARAMS} if error["code"] == NOT_FOUND_BEFORE_2026 else error


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}
