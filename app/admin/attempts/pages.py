"""/admin/attempts and /admin/attempts/ID: who tried to connect and how far they came; followed live if one likes."""

from __future__ import annotations

from starlette.responses import Response

from app.admin.attempts import look
from app.admin.attempts.look import Wanted
from app.admin.entry import Visit
from app.admin.frame import place, query, shown, word
from app.protocol.errors import NotFound
from app.web.http import see_other


async def attempts(visit: Visit) -> Response:
    """The list; with `follow`, fetched anew every few seconds. A reference from an error page leads to its attempt."""
    params = query(visit)
    wanted = Wanted(word(params, "client"), word(params, "user"), params.get("failed") == "yes")
    follow = params.get("follow") == "1"
    if wanted.client is not None and len(wanted.client) == 16 and wanted.client.isalnum():
        try:
            found = await look.one(visit.world, wanted.client, visit.now)
            return see_other(f"/admin/attempts/{found['id']}")
        except NotFound:
            pass
    listed = await look.page_of(visit.world, wanted, place(visit), visit.now)
    filters = {"client": wanted.client, "user": wanted.user, "failed": "yes" if wanted.failed else None}
    return shown(
        visit,
        "admin_attempts.html",
        live=follow,
        attempts=listed,
        filters=filters,
        traced=visit.world.settings.trace_days > 0,
        days=visit.world.settings.trace_days,
    )


async def attempt(visit: Visit) -> Response:
    """One, step by step. Raises NotFound."""
    found = await look.one(visit.world, str(visit.request.path_params["attempt"])[:60], visit.now)
    return shown(visit, "admin_attempt.html", live=query(visit).get("follow") == "1", attempt=found)
