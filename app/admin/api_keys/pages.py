"""/admin/api-keys: everybody's keys, those that nobody uses any more, and the end of one."""

from __future__ import annotations

from starlette.responses import Response

from app.admin.api_keys import acts, store
from app.admin.connections.store import user_of
from app.admin.entry import Visit
from app.admin.frame import back, done, place, query, shown, word
from app.protocol.errors import NotFound, OAuthError
from app.protocol.params import Params
from app.web import paging


async def keys(visit: Visit, *, refusal: OAuthError | None = None, typed: Params | None = None) -> Response:
    """All, of one user, or the stale ones."""
    params = query(visit)
    user, stale = word(params, "user"), params.get("stale") == "yes"
    at = place(visit)
    async with visit.world.db.connect() as db:
        user_id = await user_of(db, user) if user else None
        before = visit.now - store.STALE if stale else None
        rows = await store.page_of(db, user_id, before, at) if user_id or not user else []
    listed = paging.page(rows, at, lambda row: paging.Place(row.created_at, (row.id,)))
    filters = {"user": user, "stale": "yes" if stale else None}
    return shown(visit, "admin_api_keys.html", refusal=refusal, keys=listed, filters=filters, days=store.STALE.days)


async def revoke(visit: Visit, fields: Params) -> Response:
    """It may have ended meanwhile, which is as well."""
    try:
        await acts.end(visit.world, fields.required("id"), visit.now)
    except NotFound:
        return done(back(visit, fields), "nothing")
    return done(back(visit, fields), "key-revoked")
