"""Somebody else's MCP server, made of the official SDK with an authorization server of its own: sessions, streams, questions back."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections import Counter
from typing import Any

import uvicorn
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    TokenError,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from mcp.types import JSONRPCMessage
from pydantic import AnyHttpUrl, BaseModel
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.cli.running import OPTIONS, Server, claimed

SCOPE = ["use"]


class Issuer(OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]):
    """Lets everybody in. `grants` counts what was given for what; each refresh token is good once, without any mercy."""

    def __init__(self) -> None:
        self.clients: dict[str, OAuthClientInformationFull] = {}
        self.codes: dict[str, AuthorizationCode] = {}
        self.refresh: dict[str, RefreshToken] = {}
        self.access: dict[str, AccessToken] = {}
        self.grants: Counter[str] = Counter()

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self.clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        assert client_info.client_id
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        assert client.client_id
        code = AuthorizationCode(
            code=secrets.token_urlsafe(24),
            scopes=params.scopes or SCOPE,
            expires_at=time.time() + 60,
            client_id=client.client_id,
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
        )
        self.codes[code.code] = code
        return construct_redirect_uri(str(params.redirect_uri), code=code.code, state=params.state)

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        del self.codes[authorization_code.code]
        return self._given("code", authorization_code.client_id, authorization_code.scopes, authorization_code.resource)

    async def load_refresh_token(self, client: OAuthClientInformationFull, refresh_token: str) -> RefreshToken | None:
        return self.refresh.get(refresh_token)

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        if self.refresh.pop(refresh_token.token, None) is None:
            raise TokenError("invalid_grant")
        return self._given("refresh", refresh_token.client_id, scopes, refresh_token.resource)

    async def load_access_token(self, token: str) -> AccessToken | None:
        return self.access.get(token)

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        self.refresh.pop(token.token, None)
        self.access.pop(token.token, None)

    def _given(self, grant: str, client_id: str, scopes: list[str], resource: str | None) -> OAuthToken:
        self.grants[grant] += 1
        access, refresh = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self.access[access] = AccessToken(token=access, client_id=client_id, scopes=scopes, resource=resource)
        self.refresh[refresh] = RefreshToken(token=refresh, client_id=client_id, scopes=scopes, resource=resource)
        return OAuthToken(access_token=access, refresh_token=refresh, expires_in=3600, scope=" ".join(scopes))


class Events(EventStore):
    """What was sent on each stream, for who comes back."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        self.sent.append((stream_id, message))
        return str(len(self.sent))

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        stream_id = self.sent[int(last_event_id) - 1][0]
        for number, (stream, message) in enumerate(self.sent, 1):
            if number > int(last_event_id) and stream == stream_id and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream_id


class Colour(BaseModel):
    colour: str


class Elsewhere:
    """Serves until it is stopped. `seen` are the requests at /mcp, with method and headers, and at /token.

    The tool `wait` does until the `gate` opens; /token says `done` and waits to be `let_go`.
    """

    def __init__(self, url: str, issuer: Issuer | None = None, events: Events | None = None) -> None:
        self.listener = claimed("127.0.0.1", 0)
        self.port = int(self.listener.getsockname()[1])
        self.url = url or f"http://localhost:{self.port}"
        self.issuer = issuer or Issuer()
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.cancelled = threading.Event()
        self.gate = threading.Event()
        self.done, self.let_go = threading.Event(), threading.Event()
        self.let_go.set()
        app = _watched(
            self,
            self._server_of_tools().streamable_http_app(
                event_store=events,
                retry_interval=10 if events else None,
                transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
            ),
        )
        self._ready = threading.Event()
        self._server = Server(
            uvicorn.Config(holding_back(app, self.done, self.let_go), timeout_graceful_shutdown=1, **OPTIONS),
            self._ready.set,
        )
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._ready.wait(20)

    def stop(self) -> None:
        self.gate.set()
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        loop.run_until_complete(self._server.serve([self.listener]))
        loop.close()

    def _server_of_tools(self) -> MCPServer[Any]:
        auth = AuthSettings(
            issuer_url=AnyHttpUrl(self.url),
            resource_server_url=AnyHttpUrl(f"{self.url}/mcp"),
            required_scopes=SCOPE,
            validate_token_resource=True,
            client_registration_options=ClientRegistrationOptions(
                enabled=True, valid_scopes=SCOPE, default_scopes=SCOPE
            ),
            revocation_options=RevocationOptions(enabled=True),
        )
        server: MCPServer[Any] = MCPServer("elsewhere", auth=auth, auth_server_provider=self.issuer)

        @server.tool()
        async def echo(text: str) -> str:
            return text

        @server.tool()
        async def count(ctx: Context[Any, Any], to: int) -> str:
            for number in range(1, to + 1):
                await ctx.report_progress(number, to)
            return "counted"

        @server.tool()
        async def ask(ctx: Context[Any, Any]) -> str:
            answer = await ctx.elicit("Which colour?", Colour)
            return answer.data.colour if answer.action == "accept" else answer.action

        @server.tool()
        async def wait(ctx: Context[Any, Any]) -> str:
            """Until the gate opens, or the caller gives up."""
            await ctx.report_progress(0, 1)
            try:
                await asyncio.to_thread(self.gate.wait, 30)
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
            return "waited"

        @server.tool()
        async def grow(ctx: Context[Any, Any]) -> str:
            """Tells on the other stream that there is more to list."""
            await ctx.session.send_tool_list_changed()
            return "grown"

        return server


def _watched(place: Elsewhere, app: ASGIApp) -> ASGIApp:
    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in ("/mcp", "/token"):
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            place.seen.append((scope["method"] if scope["path"] == "/mcp" else "TOKEN", headers))
        await app(scope, receive, send)

    return watched


def holding_back(app: ASGIApp, done: threading.Event, let_go: threading.Event) -> ASGIApp:
    """/token does its work, says so with `done`, and answers only when it is let go."""

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        async def late(message: Message) -> None:
            if message["type"] == "http.response.start":
                done.set()
                await asyncio.to_thread(let_go.wait, 30)
            await send(message)

        await app(scope, receive, late if scope.get("path") == "/token" else send)

    return slow
