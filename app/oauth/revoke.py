"""POST /revoke: a client gives a token back (RFC 7009)."""

from __future__ import annotations

from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from app import audit
from app.clients.authenticate import authenticated_client
from app.connections.end import end
from app.connections.store import belongs_to
from app.protocol.errors import InvalidToken
from app.protocol.types import Principal
from app.tokens.refresh import read
from app.tokens.store import revoke as void
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
    principal = await _principal(world, token, now) if refresh_token is None else None
    async with world.db.begin() as db:
        if refresh_token is not None:
            if await belongs_to(db, refresh_token.connection_id, client.client_id):
                await end(
                    db, refresh_token.connection_id, "given back by the client", now, lifetime=world.token_lifetime
                )
        elif principal is not None and principal.client_id == client.client_id:
            await void(db, [principal.token_id], now, lifetime=world.token_lifetime)
            await audit.record(db, "token.revoked", now, user_id=principal.subject, client_id=client.client_id)
    return Response(status_code=200, headers={"Cache-Control": "no-store"})


async def _principal(world: World, token: str, now: datetime) -> Principal | None:
    """Of an access token; None when it is none of ours, or good no more."""
    try:
        return await world.live.verified(token, world.settings.issuer, world.resources.audiences, now)
    except InvalidToken:
        return None
