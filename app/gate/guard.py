"""The guard in front of the tools: Host and Origin, then the token, then the method, then the body (RFC 6750, MCP transport)."""

from __future__ import annotations

from collections.abc import Mapping

from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api_keys.callers import Callers, bearer
from app.gate.rules import Unreadable, needed_scope, parsed, written
from app.http import OPEN_CORS, as_refusal, preflight, read_body, with_retry_after
from app.protocol import challenge
from app.protocol.errors import InsufficientScope, OAuthError
from app.protocol.scope import DEFAULT
from app.protocol.types import Principal
from app.world import World

BODY_BYTES = 4 * 1024 * 1024
REPLACED = (b"content-length", b"transfer-encoding", b"mcp-protocol-version", b"authorization", b"cookie")


class Guard:
    """An ASGI app in front of another: whoever passes is in `scope["state"]["principal"]` and in the SDK's own context."""

    def __init__(self, app: ASGIApp, world: World, callers: Callers, tools: Mapping[str, str]) -> None:
        self._app = app
        self._world = world
        self._callers = callers
        self._tools = tools
        self._hosts = frozenset(host.encode() for host in world.settings.accepted_hosts())
        self._metadata = f"{world.settings.issuer}/.well-known/oauth-protected-resource/mcp"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
        stranger = self._stranger(scope, origin)
        if stranger is not None:
            await stranger(scope, receive, send)
            return
        if origin is not None:
            send = _with_cors(send)
        if scope["method"] == "OPTIONS":
            await preflight(Request(scope), ["POST"])(scope, receive, send)
            return
        principal = None
        try:
            principal = await self._callers.principal(bearer(scope), self._world.now())
            if scope["method"] != "POST":
                await Response(status_code=405, headers={"Allow": "POST"})(scope, receive, send)
                return
            message = parsed(await read_body(Request(scope, receive), BODY_BYTES))
            needed = needed_scope(message, self._tools)
            if not needed <= principal.scope:
                raise InsufficientScope(f"this call needs the scope {' '.join(sorted(needed))}", needed)
        except Unreadable as fault:
            await _unreadable(fault)(scope, receive, send)
            return
        except Exception as fault:
            await self._refusal(as_refusal(fault), principal)(scope, receive, send)
            return
        await self._let_in(scope, receive, send, principal, written(message))

    def _stranger(self, scope: Scope, origin: bytes | None) -> Response | None:
        """DNS rebinding: a browser page of elsewhere names its own Host or Origin (MCP transport, "Security Warning")."""
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return JSONResponse({"error": "misdirected_request", "error_description": "this Host is not served"}, 421)
        if origin is not None and not self._world.settings.accepts_origin(origin.decode("latin-1")):
            return JSONResponse({"error": "forbidden", "error_description": "this Origin is not allowed"}, 403)
        return None

    def _refusal(self, refusal: OAuthError, principal: Principal | None) -> Response:
        """401 and 403 with the challenge; other faults as they are."""
        response = JSONResponse(refusal.document(), refusal.status, {"Cache-Control": "no-store"})
        if refusal.status in (401, 403):
            held = principal.scope if principal else frozenset()
            scope = challenge.needed_scope(refusal, held, DEFAULT)
            response.headers["WWW-Authenticate"] = challenge.bearer(refusal, self._metadata, scope)
        return with_retry_after(response, refusal)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send, principal: Principal, body: bytes) -> None:
        user = AuthenticatedUser(
            AccessToken(
                token="",  # the caller's token stops at our door
                client_id=principal.client_id,
                scopes=list(principal.scope),
                expires_at=principal.expires_at,
                resource=self._world.settings.resource,
                subject=principal.subject,
                claims={"iss": self._world.settings.issuer, "via": principal.via},
            )
        )
        inner = {**scope, "headers": _inner_headers(scope, len(body)), "user": user}
        inner["state"] = {**scope.get("state", {}), "principal": principal}
        token = auth_context_var.set(user)
        try:
            await self._app(inner, _replay(body, receive), send)
        finally:
            auth_context_var.reset(token)


def _inner_headers(scope: Scope, length: int) -> list[tuple[bytes, bytes]]:
    """What the tools may see: no credentials, the length of what is passed on, and the protocol version once
    (real clients send `2025-11-25, 2025-11-25`)."""
    headers = [header for header in scope["headers"] if header[0] not in REPLACED]
    versions = [value for name, value in scope["headers"] if name == b"mcp-protocol-version"]
    if versions:
        distinct = dict.fromkeys(part.strip() for value in versions for part in value.split(b","))
        headers.append((b"mcp-protocol-version", b", ".join(distinct)))
    headers.append((b"content-length", str(length).encode()))
    return headers


def _replay(body: bytes, receive: Receive) -> Receive:
    """The checked body, then the real channel, so that a disconnect still cancels."""
    given = False

    async def channel() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return channel


def _with_cors(send: Send) -> Send:
    cors = [(name.lower().encode(), value.encode()) for name, value in OPEN_CORS.items()]

    async def channel(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *cors]
        await send(message)

    return channel


def _unreadable(fault: Unreadable) -> Response:
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": {"code": fault.code, "message": str(fault)}}, 400)
