"""The page for a client_id that is not registered here (any more): what to do in that app, never a redirect (RFC 6749 §4.1.2.1)."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from app.clients import reset, store
from app.language.catalogs import spoken
from app.language.when import day
from app.protocol.errors import InvalidRequest
from app.traces.recording import note
from app.web.pages import render
from app.world import World

NOT_HERE = InvalidRequest("this app is not registered here, or was removed")
LONGEST_ID = 200  # of what was ever given out


async def unknown_client(request: Request, world: World, client_id: str, redirect_uris: Sequence[str]) -> Response:
    """400, which programs that look before they open a browser take for "register anew". `redirect_uris` are as asked for.

    Of what came with the request nothing is shown; of the removed client its name and the date.
    """
    removed = None
    if len(client_id) <= LONGEST_ID:
        async with world.db.connect() as db:
            removed = await store.removed(db, client_id)
    name = removed.client_name if removed else None
    asked = [*redirect_uris, *(removed.redirect_uris if removed else ())]
    mcp_url = world.resources.default.audience
    advice = reset.reset(asked, name, request.headers.get("user-agent", ""), mcp_url)
    note(
        error=NOT_HERE.error,
        description=NOT_HERE.description,
        fault="unknown_client",
        client_name=name,
        app=advice.client,
        reset=list(advice.steps),
    )
    return render(
        "unknown_client.html",
        status=NOT_HERE.status,
        client=advice.client,
        steps=reset.steps_in(spoken.get(), advice, mcp_url),
        has_name=any("NAME" in step for step in advice.steps),
        name=name,
        removed=day(removed.removed_at) if removed else None,
        others=() if advice.client else reset.known(mcp_url, spoken.get()),
    )
