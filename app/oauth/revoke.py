"""POST /revoke: a client gives a token back (RFC 7009)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from app import audit
from app.clients.authenticate import authenticated_client
from app.connections.end import end
from app.connections.store import belongs_to
from app.protocol.errors import InvalidToken
from app.protocol.types import Client
from app.tokens.refresh import read
from app.tokens.store import revoke as void
from app.tokens.verify import verify
from app.web.http import form
from app.world import World


async def revoke(request: Request, world: World) -> Response:
    """200 whatever the token was (§2.2). A refresh token ends its connection, an access token only itself;
    another client's token is left alone (§2.1)."""
    now = world.now()
    params = await form(request, world)
    params.refuse_repeats()
    client = await authenticated_client(request, params, world)
    token = params.required("token")
    refresh_token = read(token, world.secrets.refresh)
    async with world.db.begin() as db:
        if refresh_token is not None:
            if await belongs_to(db, refresh_token.connection_id, client.client_id):
                await end(
                    db, refresh_token.connection_id, "given back by the client", now, lifetime=world.token_lifetime
                )
        else:
            await _void_access_token(db, world, client, token, now)
    return Response(status_code=200, headers={"Cache-Control": "no-store"})


async def _void_access_token(db: AsyncConnection, world: World, client: Client, token: str, now: datetime) -> None:
    try:
        principal = verify(token, world.live.ring, world.settings.issuer, world.resources.audiences, now)
    except InvalidToken:
        return
    if principal.client_id == client.client_id:
        await void(db, [principal.token_id], now, lifetime=world.token_lifetime)
        await audit.record(db, "token.revoked", now, user_id=principal.subject, client_id=client.client_id)
