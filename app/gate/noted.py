"""What the trace is told of a call of /mcp: every refused one, and of a connection the first that is let in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.types import Scope

from app.gate.headers import Sorted
from app.gate.known import Known
from app.gate.rules import Unreadable
from app.protocol.errors import InsufficientScope, OAuthError
from app.protocol.types import Principal
from app.traces.recording import Draft
from app.world import World

CLIENT_INFO = "io.modelcontextprotocol/clientInfo"  # MCP 2026-07-28, per request; before, in `initialize`


def let_in(world: World, scope: Scope, headers: Sorted, message: Mapping[str, Any], known: Known) -> None:
    """Asked only for tokens that this process meets for the first time; and of a connection, or a key, they are many."""
    known.is_new, principal = False, known.principal
    if not world.traces.on or not world.traces.is_news(
        f"mcp {principal.connection_id or principal.client_id}", world.now()
    ):
        return
    draft = _draft(scope, headers, principal)
    method, params = message.get("method"), message.get("params")
    if isinstance(method, str):
        draft.facts["rpc_method"] = method
    if isinstance(params, dict):
        meta = params.get("_meta")
        program = params.get("clientInfo") or (meta.get(CLIENT_INFO) if isinstance(meta, dict) else None)
        if isinstance(program, dict):
            draft.facts["program"] = f"{program.get('name', '')} {program.get('version', '')}".strip()


def refused(scope: Scope, headers: Sorted, refusal: OAuthError, principal: Principal | None) -> None:
    draft = _draft(scope, headers, principal)
    draft.error, draft.description = refusal.error, refusal.description
    if isinstance(refusal, InsufficientScope) and principal is not None:
        draft.facts |= {"needed": sorted(refusal.needed), "held": sorted(principal.scope)}


def unreadable(scope: Scope, headers: Sorted, fault: Unreadable, principal: Principal | None) -> None:
    draft = _draft(scope, headers, principal)
    draft.error, draft.description = "unreadable", str(fault)


def turned_back(scope: Scope, headers: Sorted, why: str, principal: Principal | None) -> None:
    draft = _draft(scope, headers, principal)
    draft.error, draft.description = "turned_back", why[:200]


def stranger(scope: Scope, headers: Sorted) -> None:
    """The values that the operator would have to allow."""
    draft = _draft(scope, headers, None)
    draft.error, draft.description = "stranger", "this Host or Origin is not served"
    for name in (b"host", b"origin"):
        draft.facts[name.decode()] = b", ".join(headers.wanted.get(name, [])).decode("latin-1")[:200]


def _draft(scope: Scope, headers: Sorted, principal: Principal | None) -> Draft:
    draft = Draft()
    if principal is not None:
        draft.client_id, draft.user_id = principal.client_id, principal.subject
        draft.connection_id = principal.connection_id
        draft.facts |= {"via": principal.via, "scope": sorted(principal.scope)}
    versions = headers.wanted.get(b"mcp-protocol-version")
    if versions:
        draft.facts["protocol"] = b", ".join(versions).decode("latin-1")[:60]
    scope.setdefault("state", {})["trace"] = draft
    return draft
