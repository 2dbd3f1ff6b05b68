"""GET /account/sessions and its forms: the browsers that are signed in; sign out one, or all others."""

from __future__ import annotations

from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

from app import audit
from app.account import frame, store
from app.language.devices import device, place
from app.language.when import ago, day
from app.web import paging
from app.world import World

PATH = "/account/sessions"


async def show(request: Request, world: World) -> Response:
    visit = await frame.visit(request, world)
    if visit is None:
        return frame.to_login(PATH)
    at, now = frame.place(visit), visit.now
    idle_since = now - timedelta(seconds=world.settings.session_idle)
    async with world.db.connect() as db:
        found = await store.sessions(db, visit.viewer.user_id, at, now, idle_since)
    listed = paging.page(found, at, lambda session: paging.Place(session.created_at, (session.id,)))
    browsers = [
        {
            "id": session.id,
            "device": device(session.user_agent),
            "place": place(session.address, on_loopback=world.settings.is_loopback),
            "user_agent": session.user_agent,
            "since": day(session.created_at.date()),
            "last_seen": ago(session.last_seen_at, now),
            "is_this": session.id == visit.viewer.session_id,
        }
        for session in listed.rows
    ]
    return frame.page(visit, "account_sessions.html", browsers=browsers, page=listed)


async def sign_out(request: Request, world: World) -> Response:
    """One browser; it finds out with its next click."""
    visit, fields = await frame.sent(request, world)
    if visit is None:
        return frame.to_login(PATH)
    user_id, session_id = visit.viewer.user_id, fields.required("id")
    async with world.db.begin() as db:
        ended = await store.end_session(db, session_id, user_id)
        if ended:
            await audit.record(db, "session.ended", visit.now, user_id=user_id, session=session_id)
    return frame.done(PATH, "signed-out" if ended else "nothing")


async def sign_out_others(request: Request, world: World) -> Response:
    visit, _ = await frame.sent(request, world)
    if visit is None:
        return frame.to_login(PATH)
    user_id = visit.viewer.user_id
    async with world.db.begin() as db:
        ended = await store.end_other_sessions(db, visit.viewer.session_id, user_id)
        if ended:
            await audit.record(db, "session.others_ended", visit.now, user_id=user_id, sessions=ended)
    return frame.done(PATH, "others-signed-out" if ended else "nothing")
