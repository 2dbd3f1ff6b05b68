"""What every way of signing in comes to: a new session, and back to what was interrupted."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from app import audit, sessions
from app.flow import after, is_pending, opened
from app.http import client_address, see_other
from app.protocol.errors import InvalidRequest
from app.traces.recording import note
from app.world import World


async def first_factor_done(
    request: Request, world: World, user_id: str, method: str, req: str | None, now: datetime
) -> Response:
    """For whoever proved one thing (`method`: password, link): in, since no second step is asked of anybody."""
    async with world.db.begin() as db:
        secret = await sessions.start(db, request, world, user_id, now)
        address = client_address(request, world.settings.trusted_proxies)
        await audit.record(db, "login", now, user_id=user_id, address=address, method=method)
    note(user_id=user_id, signed_in=True)
    if is_pending(req):
        with suppress(InvalidRequest):
            opened(req, world, now)  # says in the trace which sign-in this was
    response = see_other(after(req))
    sessions.set_cookie(response, world, secret)
    return response
