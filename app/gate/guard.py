"""The guard in front of the tools: Host and Origin, then the token, then the method, then the body (RFC 6750, MCP transport)."""

from __future__ import annotations

from collections.abc import Mapping

from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api_keys.callers import REMEMBERED, Callers, bearer
from app.gate import noted
from app.gate.headers import Sorted, sorted_headers
from app.gate.rules import Unreadable, needed_scope, needs_of, parsed, written
from app.http import OPEN_CORS, as_refusal, preflight, request_id, traced, with_retry_after
from app.protocol import challenge
from app.protocol.errors import InsufficientScope, OAuthError
from app.protocol.scope import DEFAULT
from app.protocol.types import Principal
from app.world import World

BODY_BYTES = 4 * 1024 * 1024


class Guard:
    """An ASGI app in front of another: whoever passes is in `scope["state"]["principal"]` and in the SDK's own context."""

    def __init__(self, app: ASGIApp, world: World, callers: Callers, tools: Mapping[str, str]) -> None:
        self._app = app
        self._world = world
        self._callers = callers
        self._needs = needs_of(tools)
        self._users: dict[tuple[str, int], AuthenticatedUser] = {}
        self._hosts = frozenset(host.encode() for host in world.settings.accepted_hosts())
        self._metadata = f"{world.settings.issuer}/.well-known/oauth-protected-resource/mcp"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = sorted_headers(scope)
        stranger = self._stranger(headers)
        if stranger is not None:
            noted.stranger(scope, headers)
            await stranger(scope, receive, send)
            return
        if headers.all(b"origin"):
            send = _with_cors(send)
        if scope["method"] == "OPTIONS":
            await preflight(Request(scope), ["POST"])(scope, receive, send)
            return
        principal = None
        try:
            principal = await self._callers.principal(bearer(headers.all(b"authorization")), self._world.now())
            if scope["method"] != "POST":
                await Response(status_code=405, headers={"Allow": "POST"})(scope, receive, send)
                return
            declared = b"".join(headers.all(b"content-length"))
            message = parsed(await self._world.bodies.read(receive, declared, BODY_BYTES))
            needed = needed_scope(message, self._needs)
            if not needed <= principal.scope:
                raise InsufficientScope(f"this call needs the scope {' '.join(sorted(needed))}", needed)
        except Unreadable as fault:
            noted.unreadable(scope, headers, fault, principal)
            await _unreadable(fault)(scope, receive, send)
            return
        except Exception as fault:
            refusal = as_refusal(fault)
            noted.refused(scope, headers, refusal, principal)
            await self._refusal(refusal, principal)(scope, receive, send)
            return
        await self._let_in(scope, receive, send, principal, headers, message)

    def _stranger(self, headers: Sorted) -> Response | None:
        """DNS rebinding: a browser page of elsewhere names its own Host or Origin (MCP transport, "Security Warning")."""
        hosts = headers.all(b"host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return _turned_away("misdirected_request", "this Host is not served", 421)
        for origin in headers.all(b"origin"):
            if self._world.settings.accepts_origin(origin.decode("latin-1")):
                continue
            return _turned_away("forbidden", "this Origin is not allowed", 403)
        return None

    def _refusal(self, refusal: OAuthError, principal: Principal | None) -> Response:
        """401 and 403 with the challenge; other faults as they are."""
        response = JSONResponse(traced(refusal), refusal.status, {"Cache-Control": "no-store"})
        if refusal.status in (401, 403):
            held = principal.scope if principal else frozenset()
            scope = challenge.needed_scope(refusal, held, DEFAULT)
            response.headers["WWW-Authenticate"] = challenge.bearer(refusal, self._metadata, scope)
        return with_retry_after(response, refusal)

    async def _let_in(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        principal: Principal,
        headers: Sorted,
        message: dict[str, object],
    ) -> None:
        user = self._users.get((principal.token_id, principal.expires_at))
        if user is None:
            user = self._user(principal)
            if noted.is_first(self._world, principal):
                noted.let_in(scope, headers, message, principal)
        body = written(message)
        scope["headers"] = headers.passed_on(len(body))
        scope["user"] = user
        scope.setdefault("state", {})["principal"] = principal
        token = auth_context_var.set(user)
        try:
            await self._app(scope, _replay(body, receive), send)
        finally:
            auth_context_var.reset(token)

    def _user(self, principal: Principal) -> AuthenticatedUser:
        """As the SDK and the servers built on it know their caller."""
        token = AccessToken(
            token="",  # the caller's token stops at our door
            client_id=principal.client_id,
            scopes=sorted(principal.scope),
            expires_at=principal.expires_at,
            resource=self._world.settings.resource,
            subject=principal.subject,
            claims={"iss": self._world.settings.issuer, "via": principal.via},
        )
        if len(self._users) >= REMEMBERED:
            self._users.clear()
        return self._users.setdefault((principal.token_id, principal.expires_at), AuthenticatedUser(token))


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


def _turned_away(error: str, description: str, status: int) -> Response:
    body = {"error": error, "error_description": description, "request_id": request_id.get()}
    return JSONResponse(body, status)


def _unreadable(fault: Unreadable) -> Response:
    error = {"code": fault.code, "message": str(fault), "data": {"request_id": request_id.get()}}
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, 400)
