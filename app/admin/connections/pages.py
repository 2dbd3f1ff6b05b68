"""/admin/connections: who allowed which app what; end one."""

from __future__ import annotations

from starlette.responses import Response

from app.admin.connections import acts, store
from app.admin.entry import Visit
from app.admin.frame import back, done, place, query, shown, word
from app.protocol.errors import NotFound, OAuthError
from app.protocol.params import Params
from app.web import paging


async def connections(visit: Visit, *, refusal: OAuthError | None = None, typed: Params | None = None) -> Response:
    """The open ones, of one user or client if that is asked for."""
    params = query(visit)
    user, client = word(params, "user"), word(params, "client")
    at = place(visit)
    async with visit.world.db.connect() as db:
        user_id = await store.user_of(db, user) if user else None
        rows = await store.page_of(db, user_id, client, at, visit.now) if user_id or not user else []
    listed = paging.page(rows, at, lambda row: paging.Place(row.created_at, (row.id,)))
    filters = {"user": user, "client": client}
    return shown(visit, "admin_connections.html", refusal=refusal, connections=listed, filters=filters)


async def revoke(visit: Visit, fields: Params) -> Response:
    """It may have ended meanwhile, which is as well."""
    try:
        await acts.end_one(visit.world, fields.required("id"), visit.now)
    except NotFound:
        return done(back(visit, fields), "nothing")
    return done(back(visit, fields), "disconnected")
