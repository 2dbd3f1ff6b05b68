"""GET /account and the forms on it: revoke an app, make and revoke API keys."""

from __future__ import annotations

from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from app import sessions
from app.account import store
from app.api_keys import keys
from app.api_keys import store as key_store
from app.connections.end import end
from app.http import form, see_other
from app.pages import render
from app.protocol.errors import InvalidRequest, OAuthError
from app.protocol.params import Params
from app.protocol.scope import KNOWN
from app.protocol.types import Viewer
from app.world import World


async def account(request: Request, world: World) -> Response:
    viewer = await sessions.viewer(request, world, world.now())
    return await _page(request, world, viewer) if viewer else see_other("/login")


async def revoke_connection(request: Request, world: World) -> Response:
    """Ends a connected app of this user; it bites at /mcp within a second."""
    viewer, fields = await _sent(request, world)
    if viewer is None:
        return see_other("/login")
    now, connection_id = world.now(), fields.required("id")
    async with world.db.begin() as db:
        if await store.owns_connection(db, connection_id, viewer.user_id):
            await end(db, connection_id, "revoked by the user", now, lifetime=world.token_lifetime)
    return see_other("/account")


async def create_key(request: Request, world: World) -> Response:
    """Makes a key and shows it, this once."""
    viewer, fields = await _sent(request, world)
    if viewer is None:
        return see_other("/login")
    now = world.now()
    try:
        name = keys.checked_name(fields.get("name") or "")
        scope = keys.checked_scope(fields.all("scope"))
        life = fields.get("expires") or "90d"
        expires_at = None if life == "never" else now + keys.duration(life)
    except OAuthError as refusal:
        return await _page(
            request, world, viewer, error=refusal.description[:1].upper() + refusal.description[1:] + "."
        )
    async with world.db.begin() as db:
        _, secret = await keys.create(db, viewer.user_id, name, scope, expires_at, now)
    return await _page(request, world, viewer, new_key=secret)


async def revoke_key(request: Request, world: World) -> Response:
    viewer, fields = await _sent(request, world)
    if viewer is None:
        return see_other("/login")
    now, key_id = world.now(), fields.required("id")
    async with world.db.begin() as db:
        await keys.end(db, key_id, viewer.user_id, now, lifetime=world.token_lifetime)
    return see_other("/account")


async def _sent(request: Request, world: World) -> tuple[Viewer | None, Params]:
    fields = await form(request, world)
    sessions.check_form(request, world, fields)
    return await sessions.viewer(request, world, world.now()), fields


async def _page(
    request: Request, world: World, viewer: Viewer, *, new_key: str | None = None, error: str | None = None
) -> Response:
    async with world.db.connect() as db:
        connected = await store.live_connections(db, viewer.user_id, world.now())
        owned = await key_store.keys_of(db, viewer.user_id)
    secret = sessions.cookie(request, world)
    if secret is None:
        raise InvalidRequest("the session has ended")
    return render(
        "account.html",
        status=400 if error else 200,
        csrf=sessions.form_token(secret, world),
        account=viewer.email,
        name=viewer.name,
        connections=[
            {
                "id": c.id,
                "client_name": c.client_name,
                "redirect_host": c.redirect_host,
                "scopes": [KNOWN[name].words for name in c.scope if name in KNOWN],
                "since": _day(c.created_at),
                "last_used": _day(c.last_used_at),
            }
            for c in connected
        ],
        api_keys=[
            {
                "id": key.id,
                "name": key.name,
                "scopes": list(key.scope),
                "created": _day(key.created_at),
                "expires": _day(key.expires_at) if key.expires_at else "never",
                "last_used": _day(key.last_used_at) if key.last_used_at else "never",
            }
            for key in owned
        ],
        new_key=new_key,
        error=error,
    )


def _day(moment: datetime) -> str:
    return moment.strftime("%d %b %Y")
