"""GET /account, /account/allowed and their forms: connected apps, what was allowed before; revoke, forget."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app import audit
from app.account import frame, store
from app.connections.end import end
from app.language.catalogs import _
from app.language.when import ago, day
from app.protocol.client_document import host_of
from app.protocol.scope import IDENTITY
from app.web import paging
from app.world import World

LATELY = timedelta(days=30)
MOST_TOOLS = 6  # named on the page, of those that an app called lately


async def show(request: Request, world: World) -> Response:
    visit = await frame.visit(request, world)
    if visit is None:
        return frame.to_login("/account")
    user_id, place, now = visit.viewer.user_id, frame.place(visit), visit.now
    async with world.db.connect() as db:
        found = await store.apps(db, user_id, place, now)
        listed = paging.page(found, place, lambda app: paging.Place(app.created_at, (app.id,)), store.APPS)
        ids = list({app.client_id for app in listed.rows})
        tools = await store.tools_lately(db, user_id, ids, (now - LATELY).date())
    apps = [_app(app, tools.get(app.client_id, []), world, now) for app in listed.rows]
    return frame.page(visit, "account_apps.html", apps=apps, page=listed)


async def revoke(request: Request, world: World) -> Response:
    """Ends a connected app of this user; it bites at /mcp within a second. The app has to ask again before it comes back."""
    visit, fields = await frame.sent(request, world)
    if visit is None:
        return frame.to_login("/account")
    user_id, now, connection_id = visit.viewer.user_id, visit.now, fields.required("id")
    ended = False
    async with world.db.begin() as db:
        of = await store.connection_of(db, connection_id, user_id)
        if of is not None:
            ended = await end(db, connection_id, "revoked by the user", now, lifetime=world.token_lifetime)
            await store.forget_consent(db, user_id, *of)
    return frame.done("/account", "revoked" if ended else "nothing")


async def show_allowed(request: Request, world: World) -> Response:
    visit = await frame.visit(request, world)
    if visit is None:
        return frame.to_login("/account/allowed")
    place = frame.place(visit, 3)
    async with world.db.connect() as db:
        found = await store.allowed(db, visit.viewer.user_id, place)
    listed = paging.page(
        found, place, lambda one: paging.Place(one.given_at, (one.client_id, one.redirect_host, one.resource))
    )
    answers = [
        _named(one, world) | {"resource": one.resource, "given": day(one.given_at.date())} for one in listed.rows
    ]
    return frame.page(visit, "account_allowed.html", answers=answers, page=listed)


async def forget(request: Request, world: World) -> Response:
    """An answer is no longer remembered; what is connected stays so."""
    visit, fields = await frame.sent(request, world)
    if visit is None:
        return frame.to_login("/account/allowed")
    which = (fields.required("client_id"), fields.required("redirect_host"), fields.required("resource"))
    async with world.db.begin() as db:
        forgotten = await store.forget_consent(db, visit.viewer.user_id, *which)
        if forgotten:
            await audit.record(
                db,
                "consent.forgotten",
                visit.now,
                user_id=visit.viewer.user_id,
                client_id=which[0],
                redirect_host=which[1],
            )
    return frame.done("/account/allowed", "forgotten" if forgotten else "nothing")


def _app(app: store.App, tools: list[str], world: World, now: datetime) -> dict[str, Any]:
    return _named(app, world) | {
        "id": app.id,
        "since": day(app.created_at.date()),
        "ends": day(app.expires_at.date()),
        "last_used": ago(app.last_used_at, now),
        "tools": tools[:MOST_TOOLS],
        "more_tools": max(0, len(tools) - MOST_TOOLS),
        "is_remembered": app.allowed_at is not None,
    }


def _named(app: store.App | store.Allowed, world: World) -> dict[str, Any]:
    """Who it is, by its own word and by ours, and what it may do where."""
    resource = world.resources.at(app.resource)
    scopes = {**IDENTITY, **(resource.scopes if resource else {})}
    return {
        "client_id": app.client_id,
        "name": app.client_name,
        "kind": app.kind,
        "published_by": host_of(app.client_id) if app.kind == "document" else None,
        "redirect_host": app.redirect_host,
        "scopes": [_(scopes[name].words) for name in app.scope if name in scopes],
        "at": (resource.title if resource else app.resource) if len(world.resources) > 1 or not resource else None,
    }
