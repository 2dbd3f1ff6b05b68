"""The guard in front of the tools: Host and Origin, then the token, then the method, then the body (RFC 6750, MCP transport)."""

from __future__ import annotations

from collections.abc import Mapping

from mcp.server.auth.middleware.auth_context import auth_context_var
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api_keys.callers import Callers
from app.gate import noted
from app.gate.headers import Sorted, sorted_headers
from app.gate.known import Acquaintances, Known
from app.gate.receipted import Receipted
from app.gate.rules import Unreadable, needs_of, ruled
from app.gate.toll import Toll, Unpaid
from app.http import OPEN_CORS, as_refusal, client_address, preflight, request_id, traced
from app.protocol.challenge import challenge, needed_scope
from app.protocol.errors import InsufficientScope, NoToken, OAuthError
from app.protocol.scope import DEFAULT
from app.protocol.types import Principal
from app.world import World

BODY_BYTES = 4 * 1024 * 1024


class Guard:
    """An ASGI app in front of another: whoever passes is in `scope["state"]["principal"]` and in the SDK's own context."""

    def __init__(self, app: ASGIApp, world: World, callers: Callers, tools: Mapping[str, str]) -> None:
        self._app = app
        self._world = world
        self._acquaintances = Acquaintances(world, callers)
        self._needs = needs_of(tools)
        self._toll = Toll(world, world.settings.resource, "mcp", self._needs)
        self._hosts = frozenset(host.encode() for host in world.settings.accepted_hosts())
        self._metadata = f"{world.settings.issuer}/.well-known/oauth-protected-resource/mcp"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = sorted_headers(scope)
        wanted = headers.wanted
        hosts = wanted[b"host"]
        if len(hosts) != 1 or hosts[0] not in self._hosts or b"origin" in wanted:
            stranger = self._stranger(scope, headers)
            if stranger is not None:
                await stranger(scope, receive, send)
                return
            send = _with_cors(send)
        if scope["method"] == "OPTIONS":
            await preflight(Request(scope), ["POST"])(scope, receive, send)
            return
        known = receipted = None
        try:
            known = await self._caller(scope, wanted)
            if scope["method"] != "POST":
                return await Response(status_code=405, headers={"Allow": "POST"})(scope, receive, send)
            message = await self._ruled(receive, wanted, known)
            if call := self._toll.call_of(message):
                passage = await self._toll.passage(call, _of(known), headers, self._whose(scope, known))
                known = self._acquaintances.introduced(passage.guest) if passage.guest else known
                message, send = call.body, (receipted := Receipted(send, passage))
            if known is None:
                raise NoToken("a bearer token is needed here")
        except Exception as fault:
            return await self._refused(fault, scope, headers, _of(known))(scope, receive, send)
        if known.is_new:
            noted.let_in(self._world, scope, headers, message, known)
        scope["headers"] = headers.passed_on(len(message))
        scope["user"] = known.user
        scope["state"]["principal"] = known.principal
        auth_context_var.set(known.user)  # for the task of this request alone
        try:
            await self._app(scope, _replay(message, receive), send)
        except Exception:
            if receipted:
                await receipted.failed()
            raise

    async def _ruled(self, receive: Receive, wanted: Mapping[bytes, list[bytes]], known: Known | None) -> bytes:
        """The one message of the body, which this caller may send; of a guest, the toll says it. Raises Unreadable and the
        words of OAuth."""
        body = await self._world.bodies.read(receive, b"".join(wanted.get(b"content-length", [])), BODY_BYTES)
        needed, message = ruled(body, self._needs)
        if known is not None and not needed <= known.principal.scope:
            raise InsufficientScope(f"this call needs the scope {' '.join(sorted(needed))}", needed)
        return message

    def _refused(self, fault: Exception, scope: Scope, headers: Sorted, principal: Principal | None) -> Response:
        """The answer, and a word about it to the trace."""
        if isinstance(fault, Unreadable):
            noted.unreadable(scope, headers, fault, principal)
            return _unreadable(fault)
        if isinstance(fault, Unpaid):
            noted.refused(scope, headers, fault.refusal, principal)
            return fault.response
        refusal = as_refusal(fault)
        noted.refused(scope, headers, refusal, principal)
        return self._refusal(refusal, principal, headers.wanted)

    async def _caller(self, scope: Scope, wanted: Mapping[bytes, list[bytes]]) -> Known | None:
        """None for a guest, who may have paid for this call. Raises what `Acquaintances.caller` raises."""
        try:
            return await self._acquaintances.caller(scope, wanted, self._world.now())
        except NoToken:
            if not self._toll.takes_guests or scope["method"] != "POST":
                raise
            return None

    def _whose(self, scope: Scope, known: Known | None) -> str:
        """Whose offers are counted together."""
        if known is not None:
            return known.principal.subject
        return client_address(Request(scope), self._world.settings.trusted_proxies)

    def _stranger(self, scope: Scope, headers: Sorted) -> Response | None:
        """DNS rebinding: a browser page of elsewhere names its own Host or Origin (MCP transport, "Security Warning")."""
        hosts, origins = headers.wanted[b"host"], headers.wanted.get(b"origin", [])
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            noted.stranger(scope, headers)
            return _turned_away("misdirected_request", "this Host is not served", 421)
        for origin in origins:
            if self._world.settings.accepts_origin(origin.decode("latin-1")):
                continue
            noted.stranger(scope, headers)
            return _turned_away("forbidden", "this Origin is not allowed", 403)
        return None

    def _refusal(
        self, refusal: OAuthError, principal: Principal | None, wanted: Mapping[bytes, list[bytes]]
    ) -> Response:
        """401 and 403 with the challenge; other faults as they are."""
        response = JSONResponse(traced(refusal), refusal.status, {"Cache-Control": "no-store"})
        if refusal.status in (401, 403):
            held = principal.scope if principal else frozenset()
            scope = needed_scope(refusal, held, DEFAULT)
            credentials = b"".join(wanted.get(b"authorization", []))
            response.headers["WWW-Authenticate"] = challenge(refusal, self._metadata, scope, credentials)
        response.headers.update(refusal.headers)
        return response


def _of(known: Known | None) -> Principal | None:
    return None if known is None else known.principal


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
